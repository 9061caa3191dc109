"""`e2brun serve` in a process of its own, for as long as tests need it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import COMMAND, clean_environment

_STARTING_SECONDS = 180  # the first start of all fetches the packages of its template
_ENDING_SECONDS = 15


@dataclass(frozen=True)
class Serving:
    """A service that runs: where it is, its key, its process, what it has logged so far."""

    url: str
    key: str
    pid: int
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a client of it needs."""
        return {
            "E2B_API_URL": self.url,
            "E2B_SANDBOX_URL": self.url,
            "E2B_API_KEY": self.key,
            "E2B_VOLUME_API_URL": self.url,
        }


@contextmanager
def known(serving: Serving) -> Iterator[None]:
    """The SDKs in this process find it."""
    with pytest.MonkeyPatch.context() as variables:
        for name, value in serving.environment.items():
            variables.setenv(name, value)
        yield


@contextmanager
def served(
    directory: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    prefix: tuple[str, ...] = (),
) -> Iterator[Serving]:
    """Start it on a free port, and end it as a user would; it must leave no process behind.
    `environment` comes on top of ours; `prefix` is what becomes it."""
    log = directory / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*prefix, *COMMAND, "serve", "--port", "0", "--json", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=clean_environment(environment),
            start_new_session=True,  # ^C in the test run must not reach it before we do
        )
    try:
        told = _first_line(process, log)
        yield Serving(told["E2B_API_URL"], told["E2B_API_KEY"], process.pid, log)
    finally:
        _end(process, log)


def children() -> set[int]:
    """Ours alone: what other tests' services start meanwhile is no child of this process."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def descendants(pid: int) -> dict[int, str]:
    """The processes below `pid`, each with its start time: a number alone may be used again."""
    parents = {int(entry): _parent(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    found: dict[int, str] = {}
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found.update({child: born for child in level if (born := _born(child))})
    return found


def survivors(family: dict[int, str], seconds: float = 8) -> list[int]:
    """Who of `family` still runs when they had that long to end."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid, born in family.items() if _born(pid) == born]:
        if time.monotonic() > deadline:
            return left
        time.sleep(0.02)
    return []


def _first_line(process: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """What the service prints once it answers requests."""
    if process.stdout is None:
        raise AssertionError("the service was started without a pipe")
    line = b""
    deadline = time.monotonic() + _STARTING_SECONDS
    os.set_blocking(process.stdout.fileno(), False)
    while not line.endswith(b"\n"):
        line += process.stdout.read() or b""
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the service did not start: {line!r} {log.read_text()}")
        time.sleep(0.01)
    document: dict[str, Any] = json.loads(line)
    return document


def _end(process: subprocess.Popen[bytes], log: Path) -> None:
    """End it as a user would; what it started must be gone as well."""
    family = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail(
            f"the service did not end within {_ENDING_SECONDS} s: {log.read_text()[-4000:]}"
        )
    finally:
        if process.stdout is not None:
            process.stdout.close()
    left = survivors(family)
    assert not left, f"the service left processes behind: {left}"


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _born(pid: int) -> str:
    """When it started, in clock ticks; "" for one that is gone or only waits to be reaped."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""
