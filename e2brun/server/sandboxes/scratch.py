"""The service's own directory for snapshots and the files of paused sandboxes.

It goes with the service. One that was killed cannot remove it: the next one does, told by the
lock that nobody holds any more.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from e2brun.private import locked

_PREFIX = "e2brun-serve-"
_LOCK = "lock"
_NEWBORN_SECONDS = 60.0  # a directory so young may be about to be locked


class Scratch:
    """A private directory (mode 0700) until `close`; `path` is what is to be used of it."""

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
