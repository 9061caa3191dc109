"""How many files a sandbox has epoll watch, of which a user may have so many (epoll(7)).

A program that watches what it has open needs no more of them than it has descriptors. But an
item stays when its descriptor goes and its file does not, and the same file under another number
is another item: a few hundred descriptors make millions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

_LOOK = 64 * 1024  # bytes of one list: a thousand items


def items(proc: int, places: Iterable[str], most: int) -> int:
    """Roughly, and no further than `most`; `places` are processes below `proc`."""
    found = 0
    for place in places:
        for text in _lists(proc, place):
            found += text.count(b"tfd:")
            if found > most:
                return found
    return found


def _lists(proc: int, place: str) -> Iterator[bytes]:
    with suppress(OSError):  # the process is gone
        directory = os.open(f"{place}/fd", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            names = os.listdir(directory)
            for name in names:
                if os.readlink(name, dir_fd=directory) == "anon_inode:[eventpoll]":
                    yield _beginning(proc, f"{place}/fdinfo/{name}")
        finally:
            os.close(directory)


def _beginning(proc: int, path: str) -> bytes:
    text = b""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        while len(text) < _LOOK and (piece := os.read(descriptor, _LOOK)):
            text += piece
    finally:
        os.close(descriptor)
    return text
