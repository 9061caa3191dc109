"""Processes that come and go while they are counted, as a table that tells it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.isolation.syscalls import share_memory
from e2brun.sandbox.local.memory.close_look import CloseLook
from e2brun.sandbox.local.memory.procfs import ProcessTable
from e2brun.sandbox.local.memory.vfork import alike

ROOM = 512 * MIB


def _status(mib: int, parent: int = 1, pages: int = 9) -> bytes:
    lines = f"VmSize:\t{pages} kB\nVmRSS:\t1 kB\nRssAnon:\t{mib << 10} kB\nThreads:\t1\n"
    return f"Name:\tx\nPPid:\t{parent}\n{lines}".encode()


def _rollup(share: int, alone: int = 0) -> bytes:
    return f"Rollup\nPss_Anon: {share << 10} kB\nPrivate_Dirty: {alone << 10} kB\n".encode()


class Scene(ProcessTable):
    """After each listing but the first, the next of `scenes`: place -> MiB that it shows."""

    def __init__(self, scenes: Iterable[dict[str, int]], rollups: dict[str, bytes]) -> None:
        super().__init__(-1)
        self._scenes, self._rollups = iter(scenes), rollups

    def statuses(self) -> dict[str, bytes]:
        self._now = {place: _status(mib) for place, mib in next(self._scenes).items()}
        return dict(self._now)

    def read(self, path: str, limit: int = 0) -> bytes:
        place, _, name = path.rpartition("/")
        return self._now.get(place, b"") if name == "status" else self._rollups[place]


def _taken(rollups: dict[str, bytes], *scenes: dict[str, int]) -> int:
    table = Scene(scenes, rollups)
    look = CloseLook(table, os.getpid(), set(), lambda _: False)
    return look.taken(table.statuses(), {}, 0, ROOM) // MIB


def test_who_ended_leaves_what_he_shared_to_others_who_were_read_later() -> None:
    rollups = {"2": _rollup(300), "3": _rollup(150), "4": _rollup(100)}
    assert _taken(rollups, {"2": 300, "3": 300, "4": 300}, {"2": 300}) == 300


def test_what_somebody_has_alone_stays_when_he_goes_on_in_a_child() -> None:
    rollups = {"2": _rollup(300, 300), "3": _rollup(300, 300), "4": _rollup(300, 300)}
    scenes = {"2": 300, "3": 300}, {"2": 300, "4": 300}, {"2": 300, "5": 300}
    assert _taken(rollups, *scenes) == 600
    assert _taken(rollups, scenes[0], scenes[1], scenes[1]) == 600  # alive this time
    # Nobody new is there, or nobody who can have it; or only once.
    assert _taken(rollups, scenes[0], {"2": 300}) == 300
    assert _taken(rollups, scenes[0], {"2": 300, "4": 10}) == 310
    assert _taken(rollups, scenes[0], scenes[1], {"2": 300}) == 300


def test_a_process_is_the_same_when_another_thread_tells_of_it() -> None:
    rollups = {"2/task/7": _rollup(600), "3": _rollup(9)}
    assert _taken(rollups, {"2/task/7": 600, "3": 9}, {"2/task/9": 600, "3": 9}) == 609


def test_who_has_ended_threads_is_told_of_by_the_next(tmp_path: Path) -> None:
    for place, status in (("7", "Threads:\t2\n"), ("7/task/9", "Threads:\t2\nVmRSS:\t1 kB\n")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "status").write_text(status)
    (tmp_path / "7/task/9/maps").write_text("what is mapped")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    table = ProcessTable(descriptor)
    assert table.about("7/task/8", "maps") == b"what is mapped"
    assert table.lives("7/task/8")
    os.close(descriptor)


def test_two_processes_share_memory_or_do_not() -> None:
    assert share_memory(os.getpid(), os.getpid())
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert not share_memory(os.getpid(), pid)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        share_memory(os.getpid(), pid)


def test_a_child_that_looks_like_its_parent_is_one_with_it_at_first_sight() -> None:
    statuses = {"2": _status(300), "3": _status(300, 2), "4": _status(200, 2)}
    statuses["5"] = _status(300, 2, pages=10)
    parents, seen = dict.fromkeys("345", "2"), set[str]()
    assert [alike(parents, statuses, seen) for _ in range(2)] == [["3"], []]
