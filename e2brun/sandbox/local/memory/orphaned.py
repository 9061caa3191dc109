"""Memory that outlives its process, for as long as others read it in /proc/PID/mem.

An open pagemap keeps no memory, and reads as empty from the moment on that it is gone. So one is
kept open of every process that has much. Not seen is who came and went between two looks; nor,
unless by root, who is not to be dumped (prctl(2)).
"""

from __future__ import annotations

import os
from _thread import allocate_lock  # threading takes exec longer than a look
from collections.abc import Collection, Mapping
from contextlib import suppress
from time import monotonic
from typing import TypeAlias

from e2brun.sandbox.contract import Limits
from e2brun.sandbox.local.memory.procfs import ProcessTable, kilobytes, private, process, word

_PART = 4  # what all may have together that have too little to be watched, of the limit
_LASTING_SECONDS = 0.1  # a program that looks at others reads for less
_FAR_TOO_LONG_SECONDS = 1.0
_TURNS = 4  # looks in which all are asked
Name: TypeAlias = tuple[bytes, ...]  # of a process with its memory
_STARTED, _STACK = 19, 25  # in /proc/PID/stat, after the name: starttime, startstack


class Memory:
    """Of a process, or of some that share it."""

    def __init__(self, pagemap: int) -> None:
        self.pagemap = pagemap
        self.shown: list[bytes] = []  # statuses since its process was asked, one at least
        self.alone = float("inf")  # since when it has no process

    def lives(self) -> bool:
        """Whether it is there still."""
        try:
            return bool(os.pread(self.pagemap, 1, 0))
        except OSError:  # one byte is too few: said before it waits for a lock
            return True

    def counted(self, now: float) -> int:
        """Bytes: while it has a process, that shows them."""
        if now - self.alone < _LASTING_SECONDS:
            return 0
        # Who reads it may write to it as well, and nobody shows how much that is by now.
        unknown = now - self.alone > _FAR_TOO_LONG_SECONDS
        return max(kilobytes(its, b"VmSize:") if unknown else private(its) for its in self.shown)


class Orphaned:
    """What of a sandbox's memory has no process any more, as looked at again and again."""

    def __init__(self, agent: int, limits: Limits) -> None:
        """`agent`: the pid of the sandbox's first process."""
        self._agent = agent
        self._least = limits.memory // limits.processes // _PART
        self._most = os.sysconf("SC_OPEN_MAX") // 2  # descriptors of ours; others are for others
        self._of: dict[Name, Memory] = {}
        self._looks = 0
        self._busy = allocate_lock()  # in a service, other threads look as well

    def close(self) -> None:
        """Hold nothing any more."""
        with self._busy:
            self._most = 0
            for memory in {*self._of.values()}:
                os.close(memory.pagemap)
            self._of = {}

    @property
    def doubtful(self) -> bool:
        """Whether there is something that will count if it lasts."""
        return any(memory.alone < float("inf") for memory in [*self._of.values()])

    def look(self, processes: ProcessTable, statuses: Mapping[str, bytes]) -> int:
        """Bytes of it; `statuses`: place -> status, of those that are there."""
        with self._busy:
            return self._look(processes, statuses)

    def _look(self, processes: ProcessTable, statuses: Mapping[str, bytes]) -> int:
        places = self._named(processes, statuses)
        self._sort_out(places.keys())
        fresh = {name: place for name, place in places.items() if name not in self._of}
        if fresh:
            self._add(processes, fresh, statuses)
        for name in self._of.keys() & places.keys():
            if self._asks(name[0]):
                self._of[name].shown = []
            self._of[name].shown.append(statuses[places[name]])
        return sum(memory.counted(monotonic()) for memory in {*self._of.values()})

    def _named(self, processes: ProcessTable, statuses: Mapping[str, bytes]) -> dict[Name, str]:
        """Those that have, or had, much. Of some it is asked at each look who they are by now."""
        known = {name[0]: name for name in self._of}  # of several of one process the last
        self._looks += 1
        places: dict[Name, str] = {}
        for place, status in statuses.items():
            number = process(place)
            name = known.get(number.encode())
            if name is None and private(status) <= self._least:
                continue
            if name is None or self._asks(name[0]) or b"\nVmRSS:" not in status:
                name = _name(processes, place)
            places[name] = place
        return places

    def _asks(self, number: bytes) -> bool:
        return (int(number) + self._looks) % _TURNS == 0

    def _sort_out(self, there: Collection[Name]) -> None:
        """Who is `there` has it; what is gone is let go."""
        owned = {memory for name, memory in self._of.items() if name in there}
        for memory in {*self._of.values()}:
            memory.alone = float("inf") if memory in owned else min(memory.alone, monotonic())
        gone = {its for its in {*self._of.values()} - owned if not its.lives()}
        for memory in gone:
            os.close(memory.pagemap)
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
        from e2brun.sandbox.local.memory.vfork import compared

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
