"""What is held of processes to learn whether their memory is there still."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator

import pytest

from e2brun.sandbox.contract import Limits
from e2brun.sandbox.local.memory.orphaned import Orphaned
from e2brun.sandbox.local.memory.procfs import ProcessTable
from e2brun.sandbox.local.memory.watch import MemoryWatch


@pytest.fixture
def table() -> Iterator[ProcessTable]:
    """Of this machine's processes."""
    descriptor = os.open("/proc", os.O_RDONLY)
    yield ProcessTable(descriptor)
    os.close(descriptor)


def _open() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_held_of_a_process_that_is_gone(table: ProcessTable) -> None:
    orphaned, before = Orphaned(os.getpid(), Limits(memory=1)), _open()
    with subprocess.Popen(["sleep", "60"]) as program:
        there = dict([table.of(str(program.pid))])
        assert orphaned.look(table, there) == 0
        assert _open() == before + 1
        # Whoever is not listed for once is the same afterwards.
        assert (orphaned.look(table, {}), orphaned.doubtful) == (0, True)
        assert (orphaned.look(table, there), orphaned.doubtful) == (0, False)
        assert _open() == before + 1
        program.kill()
    assert (orphaned.look(table, {}), orphaned.doubtful) == (0, False)
    assert _open() == before


class _Slow(ProcessTable):
    """Another thread begins its own look while a pagemap is opened."""

    def __init__(self, proc: int, orphaned: Orphaned) -> None:
        super().__init__(proc)
        self.orphaned, self.there = orphaned, dict[str, bytes]()
        self.other = threading.Thread(target=self._look)

    def open(self, path: str) -> int:
        if path.endswith("/pagemap") and self.other.ident is None:
            self.other.start()
            self.other.join(0.1)  # which it is not, where it waits for us
        return super().open(path)

    def _look(self) -> None:
        self.orphaned.look(self, self.there)


def test_two_threads_that_look_hold_a_process_once(table: ProcessTable) -> None:
    orphaned, before = Orphaned(os.getpid(), Limits(memory=1)), _open()
    with subprocess.Popen(["sleep", "60"]) as program:
        descriptor = os.open("/proc", os.O_RDONLY)
        slow = _Slow(descriptor, orphaned)
        slow.there = dict([table.of(str(program.pid))])
        orphaned.look(slow, slow.there)
        slow.other.join()
        os.close(descriptor)
        program.kill()
    orphaned.look(table, {})
    assert _open() == before


def test_a_look_apart_holds_nothing_afterwards() -> None:
    """Whoever gives up such a watch leaves to the other what both have."""
    views = tuple(os.open(path, os.O_RDONLY) for path in ("/proc", "/", "/dev/shm"))
    watch = MemoryWatch(os.getpid(), Limits(memory=1, disk=1 << 60), views)
    with subprocess.Popen(["sleep", "60"]) as program:
        before = _open()
        apart = watch.apart()
        apart.exceeded()
        apart.close()
        assert _open() == before
        program.kill()
    watch.close()


def test_a_service_has_descriptors_left(
    table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(_: str) -> int:
        return 0

    monkeypatch.setattr(os, "sysconf", few)
    orphaned, before = Orphaned(os.getpid(), Limits(memory=1)), _open()
    with subprocess.Popen(["sleep", "60"]) as program:
        orphaned.look(table, dict([table.of(str(program.pid))]))
        assert _open() == before
        program.kill()
