"""A closer look at what a sandbox's processes have the kernel keep, when memory is seen to go.

Nothing tells how much that is, but what keeps it can be found: files that epoll watches (of which
a user may have so many on the host, too: epoll(7)), queues of inotify, mappings, locks. It takes
long with somebody who has many of them, so it is done when more memory is gone than before,
whoever may have it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from time import monotonic

from e2brun.sandbox.contract import MIB

# Gone since the last look, and time for another: that, or a sixteenth of the memory limit.
_MORE, _PART = 8 * MIB, 16
_AGAIN_SECONDS = 0.05  # likewise, while there is something
_PATIENCE = 0.02  # seconds for one look, while which memory goes on going: the next goes on there
_LOOK = 64 * 1024  # bytes of one list: a thousand items
_MAPS = 256 * 1024  # of text, 3,000 mappings: honest programs have hundreds
# A program that watches what it has open needs no more items than it has descriptors. But an item
# stays when its descriptor goes and its file does not, and the same file under another number is
# another item: a few hundred descriptors make millions.
_ITEM_BYTES = 250
_LOCKS = MIB  # of text, 16,000 locks of parts of files, each of which may be a byte
_MOST_LOCKS, _LOCK_BYTES = 10_000, 250
_QUEUE_BYTES = 8 * MIB  # 16,384 events with the longest names
_FREE_QUEUES = 4
_MAPS_BYTES = 16 * MIB  # 65,530 mappings, each with its place in two trees


class KernelMemory:
    """What the last look has found."""

    def __init__(self, most_items: int, memory: int) -> None:
        """What a sandbox may have: items of epoll, bytes."""
        self._most, self._step = most_items, max(_MORE, memory // _PART)
        self.forget()

    def forget(self) -> None:
        """Nobody is left who could have anything."""
        self.bytes = 0  # the most that it all may take
        self.excessive = False  # more items or locks than any program can make use of
        self._gone, self._looked = 0, 0.0
        # By process, those looked at last at the end: items, queues, whether it has many mappings.
        self._seen: dict[str, tuple[int, int, bool]] = {}
        self._more = False  # who was not looked at yet

    def due(self, gone: int) -> bool:
        """Whether it is time to look, `gone` bytes being without an owner by now."""
        if gone < self._gone - self._step:
            self._gone = gone
        if gone > self._gone + self._step:
            return True
        again = self.excessive or self.bytes > 0 or self._more
        return again and monotonic() - self._looked > _AGAIN_SECONDS

    def fragmented(self, place: str) -> bool:
        """Whether this process was seen to have many mappings."""
        return place in self._seen and self._seen[place][2]

    def look(self, proc: int, places: Collection[str], gone: int) -> None:
        """Look at the processes at `places` below `proc`."""
        end = monotonic() + _PATIENCE
        locks = _beginning(proc, "locks", _LOCKS).count(b"\n")  # its own only: proc(5)
        seen = self._seen = {place: what for place, what in self._seen.items() if place in places}
        for place in [*(place for place in places if place not in seen), *seen]:
            seen.pop(place, None)
            seen[place] = _kept(proc, place, end)
            if monotonic() > end:
                break
        items, queues, long = map(sum, zip(*seen.values(), strict=True)) if seen else (0, 0, 0)
        long = long * len(places) // max(1, len(seen))  # who was not looked at is as bad
        self.bytes = items * _ITEM_BYTES + long * _MAPS_BYTES + locks * _LOCK_BYTES
        self.bytes += max(0, queues - _FREE_QUEUES) * _QUEUE_BYTES
        self.excessive = items > self._most or locks > _MOST_LOCKS
        self._gone, self._looked, self._more = gone, monotonic(), len(seen) < len(places)


def _kept(proc: int, place: str, end: float) -> tuple[int, int, bool]:
    """By one process; of somebody's with very many descriptors, what is seen by then."""
    items = queues = 0
    for text, is_queue in _descriptors(proc, place):
        items += text.count(b"tfd:")
        queues += is_queue
        if monotonic() > end:
            break
    return items, queues, len(_beginning(proc, f"{place}/maps", _MAPS)) >= _MAPS


def _descriptors(proc: int, place: str) -> Iterator[tuple[bytes, bool]]:
    """For each that matters: the list of what it watches by epoll, or that it is a queue."""
    with suppress(OSError):  # the process is gone
        directory = os.open(f"{place}/fd", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            for name in os.listdir(directory):
                kind = os.readlink(name, dir_fd=directory)
                if kind == "anon_inode:[eventpoll]":
                    yield _beginning(proc, f"{place}/fdinfo/{name}", _LOOK), False
                elif kind == "anon_inode:inotify":
                    yield b"", True
        finally:
            os.close(directory)


def _beginning(proc: int, path: str, most: int) -> bytes:
    pieces: list[bytes] = []
    length = 0
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            while length < most and (piece := os.read(descriptor, _LOOK)):
                pieces.append(piece)
                length += len(piece)
        finally:
            os.close(descriptor)
    return b"".join(pieces)
