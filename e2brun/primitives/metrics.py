"""Executions as Prometheus metrics: a subscriber. Needs the extra `prometheus`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.errors import E2brunError
from e2brun.primitives.events import Cancelled, Event, Executed, Executing, Failed
from e2brun.primitives.extras import needs_extra

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

BUCKETS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counts executions and how long the code took.

    `e2b_executions_total{status,has_error}`: `status` is the outcome, `infrastructure` where the
    sandbox failed us, or `cancelled`. `e2b_execution_duration_seconds` has what the code itself
    took; code that never ran is not in it. Raises UsageError without the extra.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """`registry` is by default a new one, of these metrics alone."""
        with needs_extra("prometheus", "counting executions"):
            from prometheus_client import CollectorRegistry, Counter, Histogram

        self.registry = registry or CollectorRegistry()
        self._executions = Counter(
            "e2b_executions_total",
            "Executions of code in a sandbox.",
            ("status", "has_error"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "e2b_execution_duration_seconds",
            "What the code took, from its start to its end.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._running: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case Executing():
                self._running.add(event.span_id)
            case Executed(result=result):
                self._running.discard(event.span_id)
                self._count(result["outcome"], has_error=result["error"] is not None)
                self._durations.observe(result["execution_time"])
            case Failed() if event.span_id in self._running:
                self._running.discard(event.span_id)
                self._count("infrastructure", has_error=True)
            case Cancelled() if event.span_id in self._running:
                self._running.discard(event.span_id)
                self._count("cancelled", has_error=True)
            case _:
                pass

    def text(self) -> bytes:
        """All metrics, as they are scraped."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)

    def write(self, path: Path | str) -> None:
        """Write them to a text file, whole or not at all. Raises E2brunError."""
        from prometheus_client import write_to_textfile

        with E2brunError.of_system(f"{path}: the metrics cannot be written"):
            write_to_textfile(str(path), self.registry)

    def push(self, gateway: str, *, job: str = "e2brun", timeout: float = 10.0) -> None:
        """Send them to a pushgateway (`host:port` or address) and wait. Raises E2brunError."""
        from prometheus_client import exposition

        try:
            exposition.push_to_gateway(  # pyright: ignore[reportUnknownMemberType] # `handler`
                gateway, job=job, registry=self.registry, timeout=timeout
            )
        except OSError as error:
            raise E2brunError(f"{gateway}: the metrics cannot be sent: {error}") from error

    def _count(self, status: str, *, has_error: bool) -> None:
        self._executions.labels(status, str(has_error).lower()).inc()
