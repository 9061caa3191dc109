"""Executions as Prometheus counts them, for whoever scrapes the service.

The names and buckets of `primitives.metrics`, written out here: a service that nobody scrapes is
not to import a library for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

_BUCKETS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)  # seconds
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ExecutionMetrics:
    """Counts executions of code, and how long they took."""

    def __init__(self) -> None:
        self._executions: Counter[str] = Counter()
        self._within: Counter[float] = Counter()
        self._seconds = 0.0

    def count(self, status: str, seconds: float) -> None:
        """One execution: `ok`, `error`, `killed` or `cancelled`."""
        self._executions[status] += 1
        self._seconds += seconds
        for bucket in _BUCKETS:
            self._within[bucket] += seconds <= bucket

    def text(self, sandboxes: Mapping[str, int]) -> str:
        """All of it in Prometheus' text format; `sandboxes` by state."""
        total = sum(self._executions.values())
        name = "e2b_execution_duration_seconds"
        lines = [
            "# HELP e2b_executions_total Executions of code in a sandbox.",
            "# TYPE e2b_executions_total counter",
            *(
                f'e2b_executions_total{{status="{status}",has_error="{has_error}"}} {n}'
                for status, n in sorted(self._executions.items())
                for has_error in ("false" if status == "ok" else "true",)
            ),
            f"# HELP {name} What the code took, from its start to its end.",
            f"# TYPE {name} histogram",
            *(f'{name}_bucket{{le="{bucket}"}} {self._within[bucket]}' for bucket in _BUCKETS),
            f'{name}_bucket{{le="+Inf"}} {total}',
            f"{name}_sum {self._seconds}",
            f"{name}_count {total}",
            "# HELP e2b_sandboxes Sandboxes there are now.",
            "# TYPE e2b_sandboxes gauge",
            *(f'e2b_sandboxes{{state="{state}"}} {n}' for state, n in sorted(sandboxes.items())),
        ]
        return "\n".join(lines) + "\n"
