"""pass@k: the chance that one of k answers passes, estimated without bias from n of them.

The estimator of the paper that brought HumanEval (Chen et al., 2021): 1 - C(n-c, k) / C(n, k).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

KS = (1, 10, 100)


class Tasks:
    """How many answers each task had, and how many passed."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def add(self, task: str, *, passed: bool) -> None:
        """One answer was judged."""
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
