"""How a batch stands, in numbers."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from e2brun.batch.passk import Tasks
from e2brun.runs.record import Verdict


class Tally:
    """Counts verdicts; for any thread."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.restored = 0  # of those done: by an earlier run
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(Verdict, 0)
        self._tasks = Tasks()

    def add(self, verdict: Verdict, task: str, *, restored: bool = False) -> None:
        """One more is done."""
        with self._lock:
            self._counts[verdict] += 1
            self.restored += restored
            if task:
                self._tasks.add(task, passed=verdict is Verdict.PASSED)

    def count(self, verdict: Verdict) -> int:
        """How many were judged so; of SKIPPED: how many were not run."""
        if verdict is Verdict.SKIPPED:
            return self.total - self.done
        return self._counts[verdict]

    @property
    def done(self) -> int:
        """How many have a record."""
        return sum(self._counts.values())

    def estimates(self) -> Mapping[int, float]:
        """pass@k, where there are tasks and every answer was judged."""
        whole = self.done == self.total and not self._counts[Verdict.INFRASTRUCTURE]
        return self._tasks.estimates() if whole else {}

    def exit_code(self, pass_rate: float) -> int:
        """0 enough passed, 1 some code failed, 125 infrastructure."""
        if self._counts[Verdict.INFRASTRUCTURE]:
            return 125
        # Not a division: 0.95 of 20 is 19, whatever binary fractions make of it.
        return 0 if self._counts[Verdict.PASSED] >= pass_rate * self.total - 1e-9 else 1
