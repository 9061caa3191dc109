"""Files under keys, in a directory of bounded size: what was not used for longest goes first."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


class KeptFiles:
    """Those of one directory, made where it is missing. Keys are hexadecimal."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory, self._limit = directory, limit
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for begun in directory.glob(".*"):  # by a service that was killed
            with suppress(OSError):
                begun.unlink()

    def find(self, key: str) -> Path | None:
        """The file of this key, which counts as used now."""
        path = self._directory / key
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def begin(self) -> Path:
        """A name for a file that is being written; `keep` or remove it."""
        return self._directory / f".{secrets.token_hex(8)}"

    def keep(self, key: str, written: Path) -> Path:
        """`written` is the file of this key from now on; makes room for it."""
        path = self._directory / key
        written.replace(path)
        self._make_room(but=path)
        return path

    def _make_room(self, but: Path) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in self._directory.iterdir():
            with suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._limit:
                return
            if path != but and not path.name.startswith("."):
                path.unlink(missing_ok=True)
                total -= size
