"""Tests run on several workers at a time; one that is marked `alone` runs beside no other. What
takes long in all its ways and cases takes turns by the day."""

from __future__ import annotations

import fcntl
import importlib
import os
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.workermanage import WorkerController

ALONE = "alone"
# Two files that are there anyway, to be locked.
_DOOR, _ROOM = Path(__file__), Path(__file__).with_name("conftest.py")
_MOST_WORKERS = 8


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """The tests of a file share a worker, and with it what they have started, and those of a folder
    as far as they can: its service would be started anew each time that a worker comes back to it.
    Those that run alone are one unit, which comes last."""

    def _split_scope(self, nodeid: str) -> str:
        return ALONE if nodeid.endswith(f"@{ALONE}") else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        begun = {_folder(scope) for work in self.assigned_work.values() for scope in work}
        following = choice(self.workqueue, list(self.assigned_work[node]), begun)
        self.workqueue.move_to_end(following, last=False)
        super()._assign_work_unit(node)


def choice(waiting: Iterable[str], own: Sequence[str], begun: Container[str]) -> str:
    """Which file is next for a worker that has had `own`: one of the same folder, else of a folder
    that nobody has begun, else the first."""
    last = _folder(own[-1]) if own else ""
    return min(
        waiting, key=lambda scope: (scope == ALONE, _folder(scope) != last, _folder(scope) in begun)
    )


def _folder(scope: str) -> str:
    return scope.rpartition("/")[0]


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Wait until no test of another worker runs alone, or none at all where this one is to.

    Unlocked by name, not by closing: what a test has forked may live on with the open file.
    """
    with _DOOR.open() as door, _ROOM.open() as room:
        fcntl.flock(door, fcntl.LOCK_EX)  # who waits to be alone keeps others from coming in
        try:
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)


def compile_share(arguments: Sequence[str], number: int, workers: int) -> None:
    """Import the tests that are this worker's to compile, before it collects all that are asked
    for: in a new checkout each would compile all of them otherwise, and what they import."""
    top, asked = Path(__file__).parents[1], [Path(word).resolve() for word in arguments]
    files = {path for place in asked for path in place.rglob("test_*.py")}
    for path in sorted(path for path in files if path.is_relative_to(top))[number::workers]:
        name = ".".join(path.relative_to(top).with_suffix("").parts)
        with suppress(Exception, pytest.skip.Exception):  # it is told of where it is collected
            importlib.import_module(name)


def is_due(number: int, days: int) -> bool:
    """Whether today, by the date, is the one of that many days that has this number."""
    return (number + date.today().toordinal()) % days == 0  # noqa: DTZ011


def add(item: pytest.Item, *, due: bool) -> None:
    """Make it a campaign of today, or of another day."""
    item.add_marker(pytest.mark.campaign if due else pytest.mark.another_day)


def is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker(ALONE) is not None


def workers(arguments: Sequence[str]) -> int:
    """Five for two processors: tests wait for sandboxes, too (with four an eighth of the time was
    left), and each worker takes 4 s of a processor to be ready. None of its own for a few files,
    which would be ready before the workers are."""
    if not any(Path(word).is_dir() for word in arguments):
        return 0
    return max(2, min(_MOST_WORKERS, 5 * len(os.sched_getaffinity(0)) // 2))
