"""How a batch stands, in numbers.

pass@k is the chance that one of k answers passes, estimated without bias from n of them, by the
estimator of the paper that brought HumanEval (Chen et al., 2021): 1 - C(n-c, k) / C(n, k).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from math import prod

from e2brun.runs.record import Verdict

KS = (1, 10, 100)


class Tasks:
    """How many answers each task had, and how many passed."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def add(self, task: str, *, passed: bool) -> None:
        count = self._counts.setdefault(task, [0, 0])
        count[0] += 1
        count[1] += passed

    def estimates(self, ks: Sequence[int] = KS) -> Mapping[int, float]:
        """By k: the mean over all tasks, for every k that no task has fewer answers than."""
        counts = self._counts.values()
        if not counts:
            return {}
        least = min(total for total, _ in counts)
        return {k: sum(chance(n, c, k) for n, c in counts) / len(counts) for k in ks if k <= least}


def chance(total: int, passed: int, k: int) -> float:
    """That one of `k` of `total` answers passes, `passed` of which do."""
    if total - passed < k:
        return 1.0
    return 1.0 - prod(1.0 - k / n for n in range(total - passed + 1, total + 1))


class Tally:
    """Counts verdicts; for any thread."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.restored = 0  # of those done: by an earlier run
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(Verdict, 0)
        self._tasks = Tasks()

    def add(self, verdict: Verdict, task: str, *, restored: bool = False) -> None:
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
        return sum(self._counts.values())

    def estimates(self) -> Mapping[int, float]:
        """pass@k, where there are tasks and every answer was judged."""
        whole = self.done == self.total and not self._counts[Verdict.INFRASTRUCTURE]
        return self._tasks.estimates() if whole else {}
