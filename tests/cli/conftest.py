"""Running `e2brun exec` in the embedded sandbox: to its end, on a terminal, or step by step."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from select import select

import pytest

from tests.conftest import COMMAND, Ran, Run, clean_environment

SCRIPT = Path(sys.executable).with_name("e2brun")


@pytest.fixture
def local(e2brun: Run) -> Run:
    """Run `e2brun exec --on local WORDS...` and wait for it."""

    def run(*words: str | Path, **how: object) -> Ran:
        return e2brun("exec", "--on", "local", *words, **how)

    return run


@pytest.fixture
def installed() -> Path:
    """The console script, as a user has it on PATH."""
    if not SCRIPT.exists():
        pytest.skip("e2brun is not installed as a command beside this Python")
    return SCRIPT


Terminal = Callable[..., tuple[int, bytes]]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """Run a command on a pseudo-terminal of its own: (exit code, all it showed).

    `typed` is typed once `after` was shown.
    """

    def run(
        *words: str,
        env: Mapping[str, str] | None = None,
        typed: bytes = b"",
        after: bytes = b"",
        seconds: float = 20,
    ) -> tuple[int, bytes]:
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [*COMMAND, "exec", "--on", "local", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=tmp_path,
            env=clean_environment(env),
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509  # no threads here
        )
        os.close(theirs)
        shown, end = b"", time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                if typed and after in shown:
                    os.write(ours, typed)
                    typed = b""
                if select([ours], [], [], 0.1)[0]:
                    with suppress(OSError):  # EIO: everybody else has closed it
                        if piece := os.read(ours, 65536):
                            shown += piece
                            continue
                    break
            return process.wait(5), shown
        finally:
            process.kill()
            process.wait()
            os.close(ours)

    return run


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
