"""However e2brun is ended, nothing of its sandbox is left soon after."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.conftest import begin
from tests.sdk.serving import children

_PR_SET_CHILD_SUBREAPER = 36
_CAMPAIGN = pytest.param(50, marks=pytest.mark.in_turn(day=1))
_UNHEARD = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_SECONDS = 8.0  # two, where nothing else runs
# Threads, a child in a session of its own, a file in every place that can be written.
_BUSY = """
import os, subprocess, sys, threading, time
for place in ("/tmp/x", "/dev/shm/x", "/var/tmp/x", os.path.expanduser("~/x")):
    open(place, "w").write("x" * 100000)
subprocess.Popen(["sleep", "60"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    time.sleep(60)
threading.Thread(target=time.sleep, args=(60,)).start()
while True:
    print("busy")
    time.sleep(0.001)
"""


@pytest.fixture
def subreaper() -> Iterator[None]:
    """Orphans of what a test starts become children of this process, where they can be seen."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def left_after(seconds: float, before: set[int]) -> list[str]:
    """What is still alive of the orphans; zombies are collected on the way. `before`: children
    that others have left here."""
    end = time.monotonic() + seconds
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        left = [pid for pid in children() if pid not in before]
        if not left or time.monotonic() > end:
            return [Path(f"/proc/{pid}/comm").read_text() for pid in left]
        time.sleep(0.02)


@pytest.mark.usefixtures("subreaper")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("times", [5, _CAMPAIGN])
def test_a_signal_at_any_moment_leaves_no_process_and_no_file(
    number: signal.Signals, times: int, tmp_path: Path
) -> None:
    (tmp_path / "busy.py").write_text(_BUSY)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    moments = random.Random(number)
    codes: set[int] = set()
    before = children()
    for _ in range(times):
        words, env = ("exec", "--on", "local", "busy.py"), {"TMPDIR": str(temporary)}
        process = begin(*words, cwd=tmp_path, env=env, **_UNHEARD, start_new_session=True)
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(number)
        codes.add(process.wait(10))
        assert left_after(_SECONDS, before) == []
    # Before Python has installed its handlers the kernel answers for it.
    expected = {-number, 128 + number} if number != signal.SIGKILL else {-number}
    assert codes <= expected | {1}
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("subreaper")
@pytest.mark.parametrize("words", [("nowhere.py",), ("--get=", "busy.py")])
def test_what_is_refused_has_begun_with_a_sandbox_and_leaves_no_process(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "busy.py").write_text(_BUSY)
    before = children()
    refused = begin("exec", "--on", "local", *words, cwd=tmp_path)
    assert len(refused.communicate(timeout=30)[1].splitlines()) == 1
    assert refused.returncode == 2
    assert [pid for pid in children() if pid not in before] == []


@pytest.mark.usefixtures("subreaper")
@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "driver.close(); time.sleep(60)"])
def test_a_sandbox_that_was_begun_and_that_nobody_wants_ends(end: str, tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap\n"
        f"driver = Bubblewrap(); driver.begin(); print('begun', flush=True); {end}\n"
    )
    before = children()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        until = time.monotonic() + _SECONDS
        while _descendants(process.pid) if process.poll() is None else left_after(0, before):
            assert time.monotonic() < until, "it waits on"
            time.sleep(0.02)
        process.kill()


def test_the_second_signal_does_not_cut_the_tidying_short(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(_BUSY)
    process = begin("exec", "--on", "local", "busy.py", cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.read(10)
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in err


def _descendants(pid: int) -> list[str]:
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [Path(f"/proc/{child}/cmdline").read_text(), *_descendants(int(child))]
    return found


def _flows(pid: int) -> bool:
    """Not what is to become a sandbox, and has the words of e2brun yet."""
    return any("flood.py" in line and "exec" not in line for line in _descendants(pid))


def test_a_reader_that_stops_reading_keeps_no_program_past_its_time(tmp_path: Path) -> None:
    (tmp_path / "flood.py").write_text("import os\nwhile True: os.write(1, bytes(65536))")
    words = ("--timeout", "1s", "--max-output", "0", "flood.py")
    process = begin("exec", "--on", "local", *words, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    end = time.monotonic() + 10
    while not _flows(process.pid):
        assert time.monotonic() < end, "the program never started"
        time.sleep(0.01)
    end += 1 + _SECONDS
    while _flows(process.pid):
        assert time.monotonic() < end, "it runs past its time"
        time.sleep(0.05)
    process.stdout.read()
    process.stdout.close()
    assert process.wait(10) == 124
