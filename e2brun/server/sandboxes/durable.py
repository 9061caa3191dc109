"""The service's directory, and what of it outlives the service with `serve --state`.

Templates, snapshots and the files of paused sandboxes; their processes and memory are lost. Who
holds the directory's lock is its only service; one that was killed has left it.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from e2brun.errors import UsageError
from e2brun.private import load, locked, store
from e2brun.server.http.messages import ApiError, Refused
from e2brun.server.sandboxes.records import Lasting, Record, State

log = logging.getLogger("e2brun.server")

_LOCK, _PAUSED, _ASIDE = "lock", "paused.json", ".damaged-"


def recovered(path: Path | None, form: Any, default: Any) -> Any:
    """What was stored there; what cannot be read is put aside, and the service starts without."""
    try:
        return load(path, form, default)
    except UsageError as error:
        if path is None:
            raise
        aside = path.with_name(f"{path.name}{_ASIDE}{time.time_ns()}")
        path.replace(aside)
        log.warning("%s; put aside as %s, and no file goes while that is there", error, aside.name)
        return default


def keep(path: Path | None, form: Any, value: Any) -> None:
    """`store` it, before it is told to anybody. Raises ApiError."""
    try:
        store(path, form, value)
    except OSError as error:
        raise Refused(500, f"it cannot be kept: {path}: {error.strerror}") from error


def is_whole(directory: Path) -> bool:
    """Whether no list was put aside: what is in none can go then."""
    return not any(directory.glob(f"*{_ASIDE}*"))


class StateDirectory:
    """A directory of the user's (mode 0700, made where it is missing), locked until `close`."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError where it cannot be used."""
        self.path = path.absolute()
        with UsageError.of_system(f"--state {path}"):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            try:
                self._lock = locked(self.path / _LOCK)
            except BlockingIOError:
                raise UsageError(f"--state {path}: another service uses it") from None

    def close(self) -> None:
        """Another service may use it now; harmless a second time."""
        self._lock.close()


class PausedSandboxes:
    """Those of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._file = directory, directory / _PAUSED

    def write(self, records: Iterable[Record]) -> None:
        """Write down those of `records` that are paused and have their files saved. Where that
        cannot be, nobody fails for it."""
        paused = [
            record
            for record in records
            if record.state is State.PAUSED and record.saved is not None
        ]
        try:
            keep(self._file, list[Lasting], paused)
        except ApiError as error:
            log.warning("paused sandboxes will not outlive the service: %s", error)

    def read(self) -> list[Record]:
        """Those that were written down, as far as their files are there."""
        paused: list[Lasting] = recovered(self._file, list[Lasting], [])
        return [record for record in map(self._record, paused) if record is not None]

    def _record(self, paused: Lasting) -> Record | None:
        lasting = {each.name: getattr(paused, each.name) for each in fields(Lasting)}
        record = Record(**lasting, state=State.PAUSED)
        # The directory may have been moved since.
        record.saved = self._directory / (paused.saved.name if paused.saved else "")
        if not record.saved.is_file():
            log.warning("paused sandbox %s is lost: %s is not there", record.id, record.saved)
            return None
        record.journal.note("the service was started anew: files were kept, processes were not")
        return record


def sweep(directory: Path, trees: str, used: Iterable[str]) -> None:
    """Remove `trees` (a pattern) that nothing refers to: of a service that was killed at work."""
    if not is_whole(directory):
        return
    for tree in {path.name for path in directory.glob(trees)}.difference(used):
        with suppress(OSError):
            (directory / tree).unlink()


_PREFIX = "e2brun-serve-"
_NEWBORN_SECONDS = 60.0  # a directory so young may be about to be locked


class Scratch:
    """A private one (0700) until `close`, for a service without; `path` is what is to be used."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self._whole = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = locked(self._whole / _LOCK)
        self.path = self._whole / "files"
        self.path.mkdir(0o700)

    def close(self) -> None:
        """Remove it and all that is in it; harmless a second time."""
        shutil.rmtree(self._whole, ignore_errors=True)
        self._lock.close()


def _sweep(parent: Path) -> None:
    """Remove what services of ours left that are dead. Never raises."""
    with suppress(OSError):
        for entry in parent.glob(f"{_PREFIX}*"):
            with suppress(OSError):
                facts = entry.lstat()
                if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid():
                    _remove_if_dead(entry, time.time() - facts.st_mtime)


def _remove_if_dead(directory: Path, age: float) -> None:
    if age > _NEWBORN_SECONDS or os.path.lexists(directory / _LOCK):
        with locked(directory / _LOCK):
            shutil.rmtree(directory, ignore_errors=True)
