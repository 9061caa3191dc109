"""`e2brun sandbox shell` on a pseudo-terminal, and what of it reaches the terminal."""

from __future__ import annotations

import os
import termios
import time
from pathlib import Path
from select import select

import pytest

from e2brun.report.terminal_strings import StringFilter
from tests.cli.conftest import Sandbox, begin, take_terminal


def _read_until(descriptor: int, wanted: bytes, seconds: float = 20) -> bytes:
    shown, end = b"", time.monotonic() + seconds
    while wanted not in shown and time.monotonic() < end:
        if select([descriptor], [], [], 0.1)[0]:
            shown += os.read(descriptor, 65536)
    return shown


def test_a_shell_works_and_gives_the_terminal_back(shared: Sandbox, shared_runtime: Path) -> None:
    box = shared("create").text.strip()
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (33, 99))
    before = termios.tcgetattr(theirs)
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "preexec_fn": take_terminal}
    process = begin(
        *("sandbox", "shell", box), cwd=shared_runtime, start_new_session=True, **ends,
        env={"XDG_RUNTIME_DIR": str(shared_runtime)},
    )  # fmt: skip
    try:
        assert b"$" in _read_until(ours, b"$ ")
        os.write(ours, b"stty size; printf 'a\\033]52;c;Zg==\\007z\\n'\r")
        shown = _read_until(ours, b"az")
        assert b"33 99" in shown
        assert b"az" in shown
        termios.tcsetwinsize(ours, (40, 100))
        time.sleep(0.5)
        os.write(ours, b"stty size; exit 7\r")
        assert b"40 100" in _read_until(ours, b"40 100")
        assert process.wait(10) == 7
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def test_a_shell_needs_a_terminal(shared: Sandbox) -> None:
    assert shared("shell", "i1").code == 2


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_strings_for_the_terminal_are_dropped_and_the_rest_is_kept(size: int) -> None:
    bad = (
        b"a\x1b]0;title\x07b\x1bP$q\x1b\\c\xc2\x9d52;c;x\xc2\x9cd"
        b"\x1b[31me\xc3\xa9\xe2\x80\x9d\x1b_x\x1b[1mf"
    )
    safe = StringFilter()
    kept = b"".join(safe.feed(bad[i : i + size]) for i in range(0, len(bad), size))
    assert kept == b"abcd\x1b[31me\xc3\xa9\xe2\x80\x9d\x1b[1mf"
