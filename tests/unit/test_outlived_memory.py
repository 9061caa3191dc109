"""What is held of processes to learn whether their memory is there still."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from e2brun.sandbox.contract import Limits
from e2brun.sandbox.local.memory.outlived import Outlived
from e2brun.sandbox.local.memory.procfs import ProcessTable


@pytest.fixture
def table() -> Iterator[ProcessTable]:
    """Of this machine's processes."""
    descriptor = os.open("/proc", os.O_RDONLY)
    yield ProcessTable(descriptor)
    os.close(descriptor)


def _open() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_held_of_a_process_that_is_gone(table: ProcessTable) -> None:
    outlived, before = Outlived(os.getpid(), Limits(memory=1)), _open()
    with subprocess.Popen(["sleep", "60"]) as program:
        there = dict([table.of(str(program.pid))])
        assert outlived.look(table, there) == 0
        assert _open() == before + 1
        # Whoever is not listed for once is the same afterwards.
        assert (outlived.look(table, {}), outlived.doubtful) == (0, True)
        assert (outlived.look(table, there), outlived.doubtful) == (0, False)
        assert _open() == before + 1
        program.kill()
    assert (outlived.look(table, {}), outlived.doubtful) == (0, False)
    assert _open() == before


def test_a_service_has_descriptors_left(
    table: ProcessTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def few(_: str) -> int:
        return 0

    monkeypatch.setattr(os, "sysconf", few)
    outlived, before = Outlived(os.getpid(), Limits(memory=1)), _open()
    with subprocess.Popen(["sleep", "60"]) as program:
        outlived.look(table, dict([table.of(str(program.pid))]))
        assert _open() == before
        program.kill()
