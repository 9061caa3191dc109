"""The user's own service in the background: found, started when needed, gone when it is idle.

Its directory is the user's alone and holds three files. `lock` is held (flock) by whoever is
starting the service and then by the service itself until it dies, however it dies: so the lock,
not a pid, says whether there is one. `service.json` says where it is, with the key; `log` is what
it said.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import BinaryIO

import e2brun
from e2brun.errors import SandboxUnavailable
from e2brun.private import locked
from e2brun.values import is_table

LOCK, STATE, LOG = "lock", "service.json", "log"
READY = "ready"  # what it says when it can be used
START_SECONDS = 900.0  # the first start may have to fetch the template's packages
_POLL = 0.02
_BOOT = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from e2brun.server.background.process import main; main(sys.argv[2], int(sys.argv[3]))"
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the service answers, and to which key."""

    url: str
    key: str = field(repr=False)
    pid: int = 0


def runtime_directory(environment: Mapping[str, str], state_directory: Path) -> Path:
    """Where the service's files are: made where it is not. Raises SandboxUnavailable."""
    base = environment.get("XDG_RUNTIME_DIR", "")
    directory = state_directory / "service"
    # After `su` it may still be the other user's.
    if os.path.isabs(base) and _is_ours(Path(base)):
        directory = Path(base) / "e2brun"
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
    except OSError as error:
        message = f"{directory}: {error.strerror}"
        raise SandboxUnavailable(message, hint="Set XDG_RUNTIME_DIR or XDG_STATE_HOME.") from error
    if not _is_ours(directory) or stat.S_IMODE(directory.lstat().st_mode) & 0o077:
        message = f"{directory} is not a directory of yours alone"
        raise SandboxUnavailable(message, hint="Remove it; it is made again with mode 0700.")
    return directory


def _is_ours(directory: Path) -> bool:
    try:
        status = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


class Background:
    """The service whose files are in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self) -> Endpoint | None:
        """The service that runs, waited for while it starts; None where there is none."""
        end = time.monotonic() + START_SECONDS
        while True:
            lock = self._lock()
            if lock is not None:
                lock.close()
                return None
            endpoint = read_state(self._directory)
            if endpoint is not None:
                return endpoint
            if time.monotonic() > end:
                message = "the service on this machine does not come up"
                raise SandboxUnavailable(message, hint=f"Look into {self._directory / LOG}.")
            time.sleep(_POLL)

    def ensure(self, environment: Mapping[str, str], notice: Callable[[str], None]) -> Endpoint:
        """The service that runs, started where there is none. Raises SandboxUnavailable."""
        while True:
            endpoint = self.find()
            if endpoint is not None:
                return endpoint
            lock = self._lock()
            if lock is not None:  # else somebody was quicker, and it is theirs that we find
                with lock:  # the service holds it then
                    return self._start(lock.fileno(), environment, notice)

    def _lock(self) -> FileIO | None:
        """The lock, where nobody has it."""
        with suppress(BlockingIOError):
            return locked(self._directory / LOCK)
        return None

    def _start(
        self, lock: int, environment: Mapping[str, str], notice: Callable[[str], None]
    ) -> Endpoint:
        with suppress(FileNotFoundError):
            (self._directory / STATE).unlink()  # of one that was killed
        with _spawn(self._directory, lock, environment) as lines:
            said = ""
            for raw in lines:
                said = raw.decode("utf-8", "replace").strip()
                if said == READY:
                    break
                notice(said)
        endpoint = read_state(self._directory)
        if said != READY or endpoint is None:
            message = f"the service on this machine did not start: {said or 'it said nothing'}"
            raise SandboxUnavailable(message, hint=f"Look into {self._directory / LOG}.")
        return endpoint


def _spawn(directory: Path, lock: int, environment: Mapping[str, str]) -> BinaryIO:
    """Start it, in a session of its own; what it says until it is ready can be read."""
    readable, writable = os.pipe2(os.O_CLOEXEC)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(directory / LOG, flags, 0o600)
    try:
        package = str(Path(e2brun.__file__).parents[1])
        process = subprocess.Popen(
            # -P: what lies in the working directory is not to be imported.
            [sys.executable, "-P", "-c", _BOOT, package, str(directory), str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=writable,
            stderr=log,
            cwd="/",
            # Keys of the caller's, which it has no use for.
            env={k: v for k, v in environment.items() if not k.startswith("E2B_")},
            pass_fds=(lock,),
            start_new_session=True,
        )
    except OSError:
        os.close(readable)
        raise
    finally:
        os.close(writable)
        os.close(log)
    process.returncode = 0  # it outlives us: not a child that somebody forgot to wait for
    return os.fdopen(readable, "rb")


def read_state(directory: Path) -> Endpoint | None:
    """What `service.json` says, if it is there and whole."""
    try:
        document: object = json.loads((directory / STATE).read_bytes())
    except (OSError, ValueError):
        return None
    if not is_table(document):
        return None
    url, key, pid = document.get("url"), document.get("key"), document.get("pid")
    if not (isinstance(url, str) and isinstance(key, str) and isinstance(pid, int)):
        return None
    return Endpoint(url, key, pid)
