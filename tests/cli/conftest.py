"""Running `e2brun exec` in the embedded sandbox: to its end, on a terminal, or step by step."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from select import select
from typing import Any

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
        ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "preexec_fn": take_terminal}
        process = begin(
            *("exec", "--on", "local", *words),
            cwd=tmp_path, env=env, start_new_session=True, **ends,
        )  # fmt: skip
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


def begin(
    *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None, **how: Any
) -> subprocess.Popen[bytes]:
    """`e2brun WORDS...` in a process that a test sends signals to, or whose streams are its own."""
    ends = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [*COMMAND, *map(str, words)], cwd=cwd, env=clean_environment(env), **{**ends, **how}
    )


def on_a_terminal(
    *words: str, cwd: Path, env: Mapping[str, str], typed: bytes = b""
) -> tuple[int, str]:
    """(exit code, all it showed) of `e2brun WORDS...` on a pseudo-terminal."""
    ours, theirs = os.openpty()
    process = begin(*words, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed)
    said = b""
    with suppress(OSError):  # EIO: the other end is closed
        while piece := os.read(ours, 65536):
            said += piece
    os.close(ours)
    return process.wait(30), said.decode()


def take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


Sandbox = Callable[..., Ran]


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Path]:
    """A runtime directory of the test's own; its service is ended with it."""
    yield from _with_service(tmp_path / "runtime")


@pytest.fixture(scope="module")
def shared_runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for all tests that do not ask about the service itself."""
    yield from _with_service(tmp_path_factory.mktemp("shared") / "runtime")


def _with_service(directory: Path) -> Iterator[Path]:
    directory.mkdir(mode=0o700)
    yield directory
    if (pid := service_pid(directory)) is not None:
        os.kill(pid, signal.SIGTERM)


@pytest.fixture
def sandbox(e2brun: Run, runtime: Path) -> Sandbox:
    """Run `e2brun sandbox WORDS...` against that directory's service."""
    return partial(e2brun, "sandbox", env={"XDG_RUNTIME_DIR": str(runtime)})


@pytest.fixture
def shared(e2brun: Run, shared_runtime: Path) -> Sandbox:
    """The same, against the service of all."""
    return partial(e2brun, "sandbox", env={"XDG_RUNTIME_DIR": str(shared_runtime)})


def service_pid(runtime: Path) -> int | None:
    try:
        pid: int = json.loads((runtime / "e2brun" / "service.json").read_text())["pid"]
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    return pid
