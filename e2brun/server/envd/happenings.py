"""What a watch remembers, in so many bytes: the names in it are made inside, and may be long."""

from __future__ import annotations

import errno

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.host.file_worker import FileTrouble

EVENTS = 8 * MIB  # past that they wait in the kernel, which drops the last
_TOLD = 4 * MIB
_PLACES = 16 * MIB
_ONE = 150  # bytes that a path takes beside its length


class Events:
    """What happened, in order: (path below the watched directory, kind)."""

    def __init__(self) -> None:
        self._found: list[tuple[bytes, str]] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Whether nothing more is to be taken in for now."""
        return self._size >= EVENTS

    def add(self, path: bytes, kind: str) -> None:
        """One more; dropped when there are twice as many as are to be kept."""
        if self._size < 2 * EVENTS:
            self._found.append((path, kind))
            self._size += len(path) + _ONE

    def take(self) -> list[tuple[bytes, str]]:
        """All of them, which are then forgotten."""
        found, self._found, self._size = self._found, [], 0
        return found


class Told:
    """Paths told as created when a new directory was looked into: their own event may still come.
    Too many are forgotten, and told twice."""

    def __init__(self) -> None:
        self._paths: set[bytes] = set()
        self._size = 0

    def __contains__(self, path: bytes) -> bool:
        return path in self._paths

    def add(self, path: bytes) -> None:
        if self._size >= _TOLD:
            self._paths.clear()
            self._size = 0
        if path not in self._paths:
            self._paths.add(path)
            self._size += len(path) + _ONE

    def discard(self, path: bytes) -> None:
        if path in self._paths:
            self._paths.discard(path)
            self._size -= len(path) + _ONE

    def discard_below(self, prefix: bytes) -> None:
        for path in [path for path in self._paths if path.startswith(prefix)]:
            self.discard(path)


class Places:
    """The directories of one watch: the kernel's number of each, and its path."""

    def __init__(self) -> None:
        self._paths: dict[int, bytes] = {}
        self._size = 0

    def get(self, watch: int) -> bytes | None:
        return self._paths.get(watch)

    def put(self, watch: int, path: bytes) -> None:
        """Note one. Raises FileTrouble when there are too many."""
        self.pop(watch)
        if self._size >= _PLACES:
            raise FileTrouble(errno.ENOSPC)
        self._paths[watch] = path
        self._size += len(path) + _ONE

    def pop(self, watch: int) -> None:
        path = self._paths.pop(watch, None)
        if path is not None:
            self._size -= len(path) + _ONE

    def pop_below(self, top: bytes) -> None:
        prefix = top + b"/"
        found = [w for w, path in self._paths.items() if path == top or path.startswith(prefix)]
        for watch in found:
            self.pop(watch)
