"""What a watch remembers, in so many bytes: the names in it are made inside, and may be long. The
watches of one sandbox share them: each is told of all, `sharers`, of which it is one."""

from __future__ import annotations

import errno
from collections.abc import Sized
from typing import Generic, TypeVar

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.host.file_worker import FileTrouble

EVENTS = 8 * MIB  # past that they wait in the kernel, which drops the last
_TOLD = 4 * MIB
_PLACES = 16 * MIB
_ONE = 150  # bytes that a path takes beside its length
Key = TypeVar("Key", bytes, int)


class _Measured:
    """Knows how many bytes it takes."""

    def __init__(self, sharers: Sized) -> None:
        self._sharers, self._size = sharers, 0

    def _reaches(self, most: int) -> bool:
        """Whether it has its share of so many bytes."""
        return self._size * len(self._sharers) >= most


class Events(_Measured):
    """What happened, in order: (path below the watched directory, kind)."""

    def __init__(self, sharers: Sized) -> None:
        super().__init__(sharers)
        self._found: list[tuple[bytes, str]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Whether nothing more is to be taken in for now."""
        return self._reaches(EVENTS)

    def add(self, path: bytes, kind: str) -> None:
        """One more; dropped when there are twice as many as are to be kept."""
        if not self._reaches(2 * EVENTS):
            self._found.append((path, kind))
            self._size += len(path) + _ONE

    def take(self) -> list[tuple[bytes, str]]:
        """All of them, which are then forgotten."""
        found, self._found, self._size = self._found, [], 0
        return found


class _Paths(_Measured, Generic[Key]):
    """Paths under keys."""

    def __init__(self, sharers: Sized) -> None:
        super().__init__(sharers)
        self._paths: dict[Key, bytes] = {}

    def pop(self, key: Key) -> None:
        """Forget one, where it is there."""
        path = self._paths.pop(key, None)
        if path is not None:
            self._size -= len(path) + _ONE

    def pop_below(self, top: bytes) -> None:
        """Forget a path and those below it."""
        prefix = top + b"/"
        found = [k for k, path in self._paths.items() if path == top or path.startswith(prefix)]
        for key in found:
            self.pop(key)

    def _note(self, key: Key, path: bytes) -> None:
        self.pop(key)
        self._paths[key] = path
        self._size += len(path) + _ONE


class Told(_Paths[bytes]):
    """Paths told as created when a new directory was looked into: their own event may still come.
    Too many are forgotten, and told twice."""

    def __contains__(self, path: bytes) -> bool:
        return path in self._paths

    def add(self, path: bytes) -> None:
        if self._reaches(_TOLD):
            self._paths.clear()
            self._size = 0
        self._note(path, path)


class Places(_Paths[int]):
    """The directories of one watch: the kernel's number of each, and its path."""

    def get(self, watch: int) -> bytes | None:
        return self._paths.get(watch)

    def put(self, watch: int, path: bytes) -> None:
        """Note one. Raises FileTrouble when there are too many."""
        self.pop(watch)
        if self._reaches(_PLACES):
            raise FileTrouble(errno.ENOSPC)
        self._note(watch, path)
