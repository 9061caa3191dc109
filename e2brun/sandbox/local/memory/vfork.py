"""Children that share their parent's memory: what both show is there once.

So it is between vfork and exec, however long that takes. kcmp(2) tells them from those that have
as much of their own. Where it may not be called (in some containers), a child that looks like its
parent is taken for one when it is seen first, and not again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.isolation.syscalls import share_memory
from e2brun.sandbox.local.memory.procfs import ProcessTable, contents, kilobytes, process, word


def vforked(
    statuses: Mapping[str, bytes], processes: ProcessTable, agent: int, seen: set[str]
) -> list[str]:
    """Their places. `agent`: the pid of the sandbox's first process; `seen`: kept between looks."""
    places = {process(place): place for place in statuses}
    parents = {
        place: places[parent]
        for place, status in statuses.items()
        if b"\nVmRSS:" in status and (parent := word(status, b"PPid:").decode()) in places
    }
    if not parents:
        return []
    return sharing(parents, processes, agent) if _can_compare() else alike(parents, statuses, seen)


@cache
def _can_compare() -> bool:
    with suppress(OSError):
        return share_memory(os.getpid(), os.getpid())
    return False


def sharing(parents: Mapping[str, str], processes: ProcessTable, agent: int) -> list[str]:
    """Those of `parents` (place -> its parent's) that have the same memory."""
    return [
        place
        for place, same in compared(parents, agent).items()
        if same and b"\nVmRSS:" in processes.read(f"{place}/status")  # or neither had any
    ]


def compared(parents: Mapping[str, str], agent: int) -> dict[str, bool]:
    """Whether each has, of those of which we may know it and that are there."""
    here = _numbers(agent)
    if not all(_inner(place) in here for place in parents):  # some ended as others were listed
        here |= _numbers(agent)
    found: dict[str, bool] = {}
    for place, parent in parents.items():
        with suppress(KeyError, OSError):
            found[place] = share_memory(here[_inner(place)], here[_inner(parent)])
    return found


def alike(parents: Mapping[str, str], statuses: Mapping[str, bytes], seen: set[str]) -> list[str]:
    """Those of `parents` that look as if they had, and were not `seen` to before."""
    found = {place for place, its in parents.items() if _alike(statuses[place], statuses[its])}
    fresh = found - seen
    seen.clear()
    seen.update(found)
    return [*fresh]


def _alike(status: bytes, other: bytes) -> bool:
    apart = kilobytes(status, b"RssAnon:") - kilobytes(other, b"RssAnon:")
    return word(status, b"VmSize:") == word(other, b"VmSize:") and abs(apart) < MIB


def _inner(place: str) -> str:
    return place.rpartition("/")[2]


def _numbers(agent: int) -> dict[str, int]:
    """Number inside -> number here, of every thread."""
    found: dict[str, int] = {}
    waiting = [agent]
    for pid in waiting:  # which grows meanwhile
        with suppress(OSError):  # it is gone
            for thread in os.listdir(f"/proc/{pid}/task"):
                place = f"/proc/{pid}/task/{thread}"
                found[_innermost(contents(f"{place}/status"))] = int(thread)
                waiting += map(int, contents(f"{place}/children").split())
    return found


def _innermost(status: bytes) -> str:
    numbers = status.partition(b"\nNSpid:")[2].partition(b"\n")[0].split()
    return numbers[-1].decode() if numbers else ""
