"""Memory that outlives its process, for as long as others read it in /proc/PID/mem.

An open pagemap keeps no memory, and reads as empty from the moment on that it is gone. So one is
kept open of every process that has much. Not seen is who came and went between two looks; nor,
unless by root, who is not to be dumped (prctl(2)).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from time import monotonic
from typing import TypeAlias

from e2brun.sandbox.contract import Limits
from e2brun.sandbox.local.memory.procfs import ProcessTable, kilobytes, private, process, word

_PART = 4  # what all may have together that have too little to be watched, of the limit
_LASTING_SECONDS = 0.1  # a program that looks at others reads for less
_FAR_TOO_LONG_SECONDS = 1.0
Name: TypeAlias = tuple[bytes, ...]  # of a process with its memory
_STARTED, _STACK = 19, 25  # in /proc/PID/stat, after the name: starttime, startstack


class Memory:
    """Of a process, or of some that share it."""

    def __init__(self, pagemap: int) -> None:
        self._pagemap = pagemap
        self.size = self.addresses = 0  # bytes, as shown last
        self.alone = float("inf")  # since when it has no process

    def close(self) -> None:
        """Forget it; more than once, where two look at a time."""
        pagemap, self._pagemap = self._pagemap, -1
        if pagemap >= 0:
            os.close(pagemap)

    def lives(self) -> bool:
        """Whether it is there still."""
        try:
            return bool(os.pread(self._pagemap, 1, 0))
        except OSError:  # one byte is too few: said before it waits for a lock
            return True

    def counted(self, now: float) -> int:
        """Bytes: while it has a process, that shows them."""
        if now - self.alone < _LASTING_SECONDS:
            return 0
        # Who reads it may write to it as well, and nobody shows how much that is by now.
        return self.addresses if now - self.alone > _FAR_TOO_LONG_SECONDS else self.size


class Outlived:
    """What of a sandbox's memory has no process any more, as looked at again and again."""

    def __init__(self, agent: int, limits: Limits) -> None:
        """`agent`: the pid of the sandbox's first process."""
        self._agent = agent
        self._least = limits.memory // limits.processes // _PART
        self._most = os.sysconf("SC_OPEN_MAX") // 2  # descriptors of ours; others are for others
        self._of: dict[Name, Memory] = {}

    def close(self) -> None:
        """Hold nothing."""
        self._most = 0
        for memory in self._of.values():
            memory.close()

    @property
    def doubtful(self) -> bool:
        """Whether there is something that will count if it lasts."""
        return any(memory.alone < float("inf") for memory in self._of.values())

    def look(self, processes: ProcessTable, statuses: Mapping[str, bytes]) -> int:
        """Bytes of it; `statuses`: place -> status, of those that are there."""
        known = {name[0] for name in self._of}
        places = {
            _name(processes, place): place
            for place, status in statuses.items()
            if private(status) > self._least or process(place).encode() in known
        }
        self._sort_out(places.keys())
        fresh = {name: place for name, place in places.items() if name not in self._of}
        if fresh:
            self._add(processes, fresh, statuses)
        for name in self._of.keys() & places.keys():
            memory, status = self._of[name], statuses[places[name]]
            memory.size, memory.addresses = private(status), kilobytes(status, b"VmSize:")
        return sum(memory.counted(monotonic()) for memory in {*self._of.values()})

    def _sort_out(self, there: Collection[Name]) -> None:
        """Who is `there` has it; what is gone is let go."""
        owned = {memory for name, memory in self._of.items() if name in there}
        for memory in {*self._of.values()}:
            memory.alone = float("inf") if memory in owned else min(memory.alone, monotonic())
        gone = {memory for memory in self._of.values() if not memory.lives()}
        for memory in gone:
            memory.close()
        self._of = {
            name: memory
            for name, memory in self._of.items()
            if memory not in gone and (name in there or memory not in owned)
        }

    def _add(
        self, processes: ProcessTable, fresh: Mapping[Name, str], statuses: Mapping[str, bytes]
    ) -> None:
        numbers = {place: word(statuses[place], b"PPid:") for place in fresh.values()}
        places = {process(place).encode(): place for place in statuses}
        parents = {place: places[number] for place, number in numbers.items() if number in places}
        same = self._compared(parents) if parents else {}
        for name, place in fresh.items():
            if place not in parents or same.get(place) is False:
                self._open(processes, name, place)
        for name, place in fresh.items():  # as from vfork to exec
            if same.get(place):
                its = [memory for other, memory in self._of.items() if other[0] == numbers[place]]
                self._of.update((name, memory) for memory in its)

    def _compared(self, parents: Mapping[str, str]) -> dict[str, bool]:
        from e2brun.sandbox.local.memory.twins import compared

        return compared(parents, self._agent)

    def _open(self, processes: ProcessTable, name: Name, place: str) -> None:
        with suppress(OSError):  # it has ended, or is not for us to see
            pagemap = processes.open(f"{place}/pagemap")
            # It may have become another program, whose memory this is.
            if pagemap > self._most or _name(processes, place) != name:
                os.close(pagemap)
            else:
                self._of[name] = Memory(pagemap)


def _name(processes: ProcessTable, place: str) -> Name:
    """Its number; when it started; where its program's stack begins, which nobody chooses."""
    number = process(place)
    words = processes.stat(place)
    first = words if place == number else processes.stat(number)
    return (number.encode(), *first[_STARTED : _STARTED + 1], *words[_STACK : _STACK + 1])
