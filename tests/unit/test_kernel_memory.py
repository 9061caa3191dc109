"""What programs have the kernel keep is found, in a /proc of files; also where a cgroup counts."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from e2brun.sandbox.contract import MIB, Limits
from e2brun.sandbox.local.memory import kernel_memory as looking
from e2brun.sandbox.local.memory.kernel_memory import KernelMemory
from e2brun.sandbox.local.memory.watch import MemoryWatch

_ITEM = "tfd:        5 events:       19 data:                5\n"
_LOCK = "1: POSIX  ADVISORY  WRITE 4711 00:2f:12 0 0\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    for number in ("1", "7"):
        for name in ("fd", "fdinfo"):
            (tmp_path / number / name).mkdir(parents=True)
        (tmp_path / number / "status").write_text("Name:\tx\nVmSize: 9 kB\nVmRSS: 9 kB\n")
        (tmp_path / number / "maps").write_text("")
    (tmp_path / "locks").write_text("")
    return tmp_path


def _keeps(proc: Path, kind: str, count: int, text: str = "") -> None:
    for number in range(3, 3 + count):
        (proc / "7/fd" / str(number)).symlink_to(f"anon_inode:{kind}")
        (proc / "7/fdinfo" / str(number)).write_text(text)


def _look(proc: Path) -> KernelMemory:
    kept = KernelMemory(500, 128 * MIB)
    descriptor = os.open(proc, os.O_RDONLY)
    kept.look(descriptor, ["7"], 0)
    os.close(descriptor)
    return kept


def test_an_ordinary_program_hoards_nothing(proc: Path) -> None:
    _keeps(proc, "inotify", 4)
    (proc / "7/maps").write_text("7f0000000000-7f0000001000 rw-p 00000000 00:00 0\n" * 800)
    found = _look(proc)
    assert (found.bytes, found.excessive) == (0, False)


def test_more_items_of_epoll_than_descriptors_are_too_many(proc: Path) -> None:
    _keeps(proc, "[eventpoll]", 3, _ITEM * 200)
    assert _look(proc).excessive


def test_queues_of_inotify_count_with_all_they_can_hold(proc: Path) -> None:
    _keeps(proc, "inotify", 24)
    assert _look(proc).bytes == 20 * 8 * MIB


def test_a_program_of_many_mappings_counts_with_as_many_as_there_can_be(proc: Path) -> None:
    (proc / "7/maps").write_text("7f0000000000-7f0000001000 rw-p 00000000 00:00 0\n" * 8000)
    assert _look(proc).bytes == 16 * MIB


def test_locks_of_bytes_are_too_many_at_some_point(proc: Path) -> None:
    (proc / "locks").write_text(_LOCK * 5000)
    assert not _look(proc).excessive
    (proc / "locks").write_text(_LOCK * 11_000)
    assert _look(proc).excessive


def test_a_look_is_due_when_more_is_gone() -> None:
    kept = KernelMemory(500, 128 * MIB)
    assert not kept.due(4 * MIB)
    assert kept.due(9 * MIB)
    kept.look(os.open("/", os.O_PATH), [], 9 * MIB)
    assert not kept.due(12 * MIB)
    assert not kept.due(0)  # given back: from here on it counts again
    assert kept.due(9 * MIB)
    large = KernelMemory(500, 1024 * MIB)  # a thousand of which look at each new neighbour
    assert not large.due(60 * MIB)
    assert large.due(65 * MIB)


def test_a_look_ends_in_time_and_the_next_goes_on_there(
    proc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keeps(proc, "[eventpoll]", 3, _ITEM * 200)
    monkeypatch.setattr(looking, "_PATIENCE", 0)
    monkeypatch.setattr(looking, "_AGAIN_SECONDS", -1)
    kept = KernelMemory(100, 128 * MIB)
    descriptor = os.open(proc, os.O_RDONLY)
    kept.look(descriptor, ["1", "7"], 0)
    assert not kept.excessive
    assert kept.due(0)
    kept.look(descriptor, ["1", "7"], 0)
    assert kept.excessive
    os.close(descriptor)


def _watched(proc: Path) -> MemoryWatch:
    shm = "/dev/shm"  # with little in it
    views = (os.open(proc, os.O_RDONLY), os.open(shm, os.O_PATH), os.open(shm, os.O_PATH))
    return MemoryWatch(os.getpid(), Limits(processes=1, open_files=100, disk=1 << 60), views)


def test_what_a_process_has_gained_is_its_own_without_a_close_look(proc: Path) -> None:
    """What it had when it was seen first may be somebody else's. Each look is `apart`, as a
    service's are, and knows of those before."""
    status = "Name:\tx\nPPid: 1\nVmSize: 9 kB\nVmRSS: 9 kB\nRssAnon: {} kB\n"
    (proc / "7/smaps_rollup").write_text("Pss_Anon: 9 kB\n")  # nearly all of it is shared
    watch = _watched(proc)
    for mib, expected in ((700, False), (10, False), (700, True)):
        (proc / "7/status").write_text(status.format(mib << 10))
        with closing(watch.apart()) as apart:
            assert apart.exceeded() is expected, mib
    watch.close()


class _Group:
    """A cgroup in which all is well."""

    kept = 0

    def killed(self) -> bool:
        return False

    def used(self) -> int:
        return MIB

    def kernel(self) -> int:
        return self.kept

    def remove(self) -> None:
        pass


def test_a_delegated_cgroup_does_not_hide_a_hoard(proc: Path) -> None:
    watch = _watched(proc)
    watch._group = group = _Group()  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue]
    _keeps(proc, "[eventpoll]", 3, _ITEM * 200)
    assert not watch.exceeded()
    group.kept = 40 * MIB  # of 512
    assert watch.exceeded()
    assert watch.unexplained
    watch.close()
