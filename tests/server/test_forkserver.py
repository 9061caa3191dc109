"""The zygote and what it becomes: ends with its owner, leaves nothing, and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2brun.sandbox.contract import Program, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.blocking.sandbox import LocalSandbox
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from tests.sdk.serving import descendants

_SPEC = SandboxSpec(cells=False)


@pytest.fixture
def forkserver() -> Iterator[Forkserver]:
    """One with its zygotes, ended afterwards."""
    made = Forkserver()
    if Bubblewrap().problem() is not None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    yield made
    made.close()


@pytest.fixture
def backend(forkserver: Forkserver, tmp_path: Path) -> Iterator[LocalBackend]:
    """Sandboxes out of that forkserver."""
    made = LocalBackend(cache_directory=str(tmp_path / "cache"), driver=forkserver)
    yield made
    made.close()


def _say(sandbox: LocalSandbox, line: str) -> str:
    heard: list[bytes] = []
    program = Program(("bash", "-c", line))
    sandbox.run_program(program, timeout=10, stdout=heard.append, stderr=heard.append)
    return b"".join(heard).decode()


def _gone(pid: int, seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] in b"ZX":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_two_sandboxes_see_nothing_of_each_other(backend: LocalBackend) -> None:
    one, other = backend.create(_SPEC), backend.create(_SPEC)
    _say(one, "echo secret > /tmp/file; sleep 100 & disown")
    assert _say(other, "cat /tmp/file; pgrep sleep") == (
        "cat: /tmp/file: No such file or directory\n"
    )
    assert _say(one, "cat /etc/hostname") != _say(other, "cat /etc/hostname")
    boot = "cat /proc/sys/kernel/random/boot_id"
    assert _say(one, boot) == _say(one, boot) != _say(other, boot)


def test_a_dead_zygote_takes_its_sandboxes_along_and_is_replaced(
    backend: LocalBackend, forkserver: Forkserver
) -> None:
    old = backend.create(_SPEC)
    assert _say(old, "echo here") == "here\n"
    (zygote,) = forkserver.pids()
    os.kill(zygote, signal.SIGKILL)
    assert _say(old, "sleep 5") == ""
    time.sleep(0.2)
    assert _say(backend.create(_SPEC), "echo again") == "again\n"
    assert forkserver.pids() != [zygote]


def test_nothing_is_left_after_many(backend: LocalBackend, forkserver: Forkserver) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def children() -> int:
        (outside,) = forkserver.pids()
        zygote, *others = descendants(outside)
        return len([pid for pid in others if pid != zygote and not _gone(pid, 2)])

    backend.create(_SPEC).kill()
    before = descriptors()
    for _ in range(40):
        sandbox = backend.create(_SPEC)
        _say(sandbox, "sleep 100 & disown")
        sandbox.kill()
    assert (descriptors(), children()) == (before, 0)


@pytest.mark.parametrize("after", [0.005, 0.3])
def test_sigkill_of_the_owner_leaves_no_process(after: float, tmp_path: Path) -> None:
    code = f"""
    import sys
    from e2brun.sandbox.contract import Program, SandboxSpec
    from e2brun.sandbox.local.backend import LocalBackend
    from e2brun.sandbox.local.isolation.forkserver import Forkserver
    forkserver = Forkserver()
    backend = LocalBackend(cache_directory={str(tmp_path)!r}, driver=forkserver)
    boxes = [backend.create(SandboxSpec(cells=False)) for _ in range(3)]
    line = "sleep 1000 & setsid sleep 1000 & wait"
    print(forkserver.pids()[0], flush=True)
    boxes[0].run_program(Program(("bash", "-c", line)), timeout=None, stdout=print, stderr=print)
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    zygote = int(owner.stdout.readline())
    time.sleep(after)
    family = [zygote, *descendants(zygote)]
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert [pid for pid in family if not _gone(pid)] == []
