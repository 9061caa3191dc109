"""What a sandbox's processes have, every page counted once, where all that they show is too much.

They come and go while they are read, which takes the longer the more they have. Who has ended by
the end left what he shared to others, who were perhaps read later: he does not count. But whoever
goes on in ever new children has always ended; so what somebody had alone counts as long as there
is somebody new who may have it now. A program that forks often looks like that for a moment: that
has to be seen twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

from e2brun.frozen import Frozen
from e2brun.sandbox.local.memory.procfs import ProcessTable, kilobytes, private, process, shown
from e2brun.sandbox.local.memory.vfork import vforked


class Holding(Frozen):
    """Of one process, in bytes: of its own pages and of shared memory, each page divided by those
    who have it; and of its own what nobody else has."""

    private: int
    mapped: int = 0
    alone: int = 0


class CloseLook:
    """At processes that come and go."""

    def __init__(
        self,
        processes: ProcessTable,
        agent: int,
        seen: set[str],
        is_long: Callable[[str], bool],
        patience: float = float("inf"),
    ) -> None:
        """`agent`, `seen`: for `vforked`. `is_long`: whether a process's pages take long to walk
        through: all that it shows counts, and what others do after `patience` seconds."""
        self._processes, self._agent, self._seen = processes, agent, seen
        self._is_long, self._patience = is_long, patience

    def taken(
        self, statuses: dict[str, bytes], least: Mapping[str, int], files: int, room: int
    ) -> int:
        """Bytes, of `files` as well: no more than that where it is within `room`, no less where it
        is not. `least`: what each had at least since it was seen first."""
        sure, perhaps, later = self._once(statuses, least, files, room)
        if sure <= room < perhaps:
            _, perhaps, _ = self._once(later, least, files, room)
        return perhaps

    def _once(
        self, statuses: dict[str, bytes], least: Mapping[str, int], files: int, room: int
    ) -> tuple[int, int, dict[str, bytes]]:
        """Without those that have ended; with what others may have of theirs; who is there now."""
        known = {*map(process, statuses)}
        for child in vforked(statuses, self._processes, self._agent, self._seen):
            del statuses[child]
        most = shown(statuses.values(), files)
        if most <= room:  # as while a program starts others
            return most, most, {}
        # What came since a process was seen first, or had least, is shared with nobody; that needs
        # no walk, which takes as long as many processes keep us from the processors.
        own = {place: private(status) for place, status in statuses.items()}
        holdings = {
            place: Holding(size - least.get(process(place), size)) for place, size in own.items()
        }
        if files + sum(its.private for its in holdings.values()) <= room:
            holdings = self.holdings(statuses, room - files)
        later = self._processes.statuses()
        living = {process(place): status for place, status in later.items()}
        now = {place: living.get(process(place), b"") for place in holdings}
        mapped = [
            min(its.mapped, kilobytes(now[place], b"RssShmem:")) for place, its in holdings.items()
        ]
        sure = sum(min(its.private, private(now[place])) for place, its in holdings.items())
        sure += max(files, sum(mapped))
        left = [its.alone for place, its in holdings.items() if not private(now[place])]
        heirs = [private(status) for number, status in living.items() if number not in known]
        inherited = map(min, sorted(left, reverse=True), sorted(heirs, reverse=True))
        return sure, sure + sum(inherited), later

    def holdings(
        self, statuses: dict[str, bytes], room: float = float("inf")
    ) -> dict[str, Holding]:
        """Of each process, those that came last first; until those that live are beyond `room`."""
        found: dict[str, Holding] = {}
        end = monotonic() + self._patience
        for place, status in reversed(statuses.items()):
            if room < 0:
                break
            # A walk through so many mappings waits for each fork of them, a quarter of a second.
            if monotonic() > end or self._is_long(place):
                found[place] = Holding(private(status), kilobytes(status, b"RssShmem:"))
            else:
                found[place] = self._holding(place, status)
            room -= found[place].private if self._processes.lives(place) else 0
        return found

    def _holding(self, place: str, status: bytes) -> Holding:
        """Pss and its like (proc(5))."""
        rollup = self._processes.about(place, "smaps_rollup")
        if not rollup:  # it has ended, or runs a program that may not be read by its user
            return Holding(private(self._processes.of(process(place))[1]))
        own = private(status) - kilobytes(status, b"RssAnon:") - kilobytes(status, b"VmSwap:")
        own += kilobytes(rollup, b"Pss_Anon:") + kilobytes(rollup, b"SwapPss:")
        alone = kilobytes(rollup, b"Private_Clean:") + kilobytes(rollup, b"Private_Dirty:")
        alone -= kilobytes(status, b"RssFile:") + kilobytes(status, b"RssShmem:")
        return Holding(own, kilobytes(rollup, b"Pss_Shmem:"), max(0, alone))
