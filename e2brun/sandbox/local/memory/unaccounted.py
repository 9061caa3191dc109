"""Memory that the host is without and nobody is seen to have: the last line of a memory limit.

The kernel keeps memory for programs (buffers, queues, pinned pages) that is in no process's
count. The ways to it that we know are refused, or counted in `memory`; this sees the others. It
looks at two sums: the kernel's own objects, and what is left of all memory once everything is
taken away that is accounted for (free pages, files, caches, programs). Neither knows anything of
an ordinary load of the host's, which is therefore never suspected.

Whose it is nobody can tell. What is newly gone is charged to a sandbox by its share of the time
that all processors spent in the kernel meanwhile: in full to one that did a quarter of all that
is done there, or more. Whoever takes gigabytes does; a neighbour that waits or computes does not.
And pages only up to what its sockets and descriptors could keep: drivers and file systems of the
host's have such pages as well, and a program that reads a lot makes them have more.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.memory.procfs import contents, kilobytes

_WEIGHT = 4  # others are at work on this host as well
_STEP = 8 * MIB  # that much more or less is worth a closer look
_CLOCK_SECONDS = 1.0  # shares are of what happened lately
_LASTING_SECONDS = 0.025  # pages on their way from a program to the next are with nobody for less
_PAGE = os.sysconf("SC_PAGE_SIZE")
# In /proc/meminfo: free or known to be in use; and the kernel's objects, which it cannot give back.
_ACCOUNTED = (
    b"MemFree:", b"Buffers:", b"Cached:", b"SwapCached:", b"AnonPages:", b"KReclaimable:",
    b"PageTables:", b"SecPageTables:", b"Zswap:", b"Hugetlb:",
)  # fmt: skip
_OBJECTS = (b"SUnreclaim:", b"KernelStack:", b"Percpu:")
_ARC = "/spl/kstat/zfs/arcstats"


class Unaccounted:
    """What of it is charged to one sandbox, as looked at again and again."""

    def __init__(self, noise: int, proc: str = "/proc") -> None:
        """`noise`: bytes below which nothing is charged; others' objects come and go."""
        self._noise, self._proc = noise, proc
        self.forget()

    def forget(self) -> None:
        """Nobody is left who could have it: begin anew."""
        self._levels = (0, 0)  # pages, objects
        self._suspected = (0, 0)
        self._clock = (0.0, 0, 0)  # when; ticks of the sandbox and of all in the kernel by then
        self._since = 0.0
        self.suspected = 0  # bytes; charged when they are more than noise, for longer
        self.gone = 0  # bytes, whoever has them

    def charge(self, meminfo: bytes, most_pages: int, own_ticks: Callable[[], int]) -> int:
        """Bytes to be charged now; `own_ticks`: of the sandbox's processes, in the kernel."""
        pages, objects = _missing(meminfo)
        if not self._clock[0]:
            self._levels = pages - set_aside(self._proc), objects
            self._restart(own_ticks)
        elif max(abs(pages - self._levels[0]), abs(objects - self._levels[1])) >= _STEP:
            # Pages that processors have set aside are missing as well, hundreds of MiB at times.
            self._settle((pages - set_aside(self._proc), objects), own_ticks)
        elif monotonic() - self._clock[0] > _CLOCK_SECONDS:
            self._restart(own_ticks)
        self.suspected = min(self._suspected[0], most_pages) + self._suspected[1]
        if not self.doubtful:
            self._since = 0.0
            return 0
        self._since = self._since or monotonic()
        return self.suspected if monotonic() - self._since > _LASTING_SECONDS else 0

    def _settle(self, levels: tuple[int, int], own_ticks: Callable[[], int]) -> None:
        changes = tuple(new - old for new, old in zip(levels, self._levels, strict=True))
        if max(map(abs, changes)) < _STEP:
            return
        _, own, everybody = self._clock
        self._restart(own_ticks)
        share = (self._clock[1] - own) / max(1, self._clock[2] - everybody)
        part = min(1.0, max(0.0, _WEIGHT * share))
        pages, objects = (
            max(0, suspected + int(change * part if change > 0 else change))
            for suspected, change in zip(self._suspected, changes, strict=True)
        )
        self._levels, self._suspected = levels, (pages, objects)
        self.gone = max(0, self.gone + sum(changes))

    def _restart(self, own_ticks: Callable[[], int]) -> None:
        everybody = int(contents(f"{self._proc}/stat").split(None, 4)[3])  # cpu user nice system
        self._clock = monotonic(), own_ticks(), everybody

    @property
    def doubtful(self) -> bool:
        """Whether there is something that will be charged if it lasts."""
        return self.suspected > self._noise


def _missing(meminfo: bytes) -> tuple[int, int]:
    objects = sum(kilobytes(meminfo, name) for name in _OBJECTS)
    known = sum(kilobytes(meminfo, name) for name in _ACCOUNTED)
    if b"KReclaimable:" not in meminfo:  # before Linux 4.20
        known += kilobytes(meminfo, b"SReclaimable:")
    return kilobytes(meminfo, b"MemTotal:") - known - objects, objects


def set_aside(proc: str = "/proc") -> int:
    """Free pages that each processor keeps for itself, and the cache of ZFS, in bytes."""
    counts = contents(f"{proc}/zoneinfo").split(b"count:")[1:]
    pages = sum(int(text.split(None, 1)[0]) for text in counts)
    # A header of two lines, then name, type, data.
    sizes = [
        line.split() for line in contents(proc + _ARC).splitlines() if line.startswith(b"size ")
    ]
    return pages * _PAGE + sum(int(words[2]) for words in sizes)
