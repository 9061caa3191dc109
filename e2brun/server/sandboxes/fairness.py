"""Fair shares of the processors, where no cgroup sees to them.

A sandbox that wants a processor all the time goes behind those that want one now and then: an
answer of some milliseconds is not to wait for forty computations. The kernel weighs sessions
(sched(7), autogroup), and anybody may make one of theirs lighter and heavier again; where it does
not, there is only what a sandbox begins with (`driver.NICE`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from time import monotonic, monotonic_ns, sleep
from typing import TYPE_CHECKING, NoReturn

from e2brun.sandbox.local.memory.procfs import contents
from e2brun.sandbox.threads import in_thread

if TYPE_CHECKING:
    from e2brun.server.sandboxes.records import Record

_AS_ALL, _BEHIND = 0, 19  # weights of 1024 and 15
_CROWD = 2  # threads that run or wait to, for each processor
_ALL_THE_TIME = 0.75
_TURN, _LONGEST = 0.1, 3.0  # seconds between two tries to weigh; for all of one look's


class FairShares:
    """Who goes behind others now."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records
        # By sandbox: when it was looked at, and what each thread had wanted by then.
        self._wanted: dict[str, tuple[int, dict[str, int]]] = {}
        self._behind: set[str] = set()

    async def run(self) -> NoReturn:
        while True:
            await self.look()
            await asyncio.sleep(1.0)

    async def look(self) -> None:
        """Looks at sandboxes only while there is a crowd."""
        # Threads of the machine that run or wait to.
        runnable = int(contents("/proc/loadavg").split()[3].partition(b"/")[0])
        crowd = runnable > _CROWD * (os.cpu_count() or 1)
        if not crowd and not self._behind:
            self._wanted.clear()
            return
        with ExitStack() as kept:
            places = dict(self._places(kept))
            # Not on the loop: a crowd makes its rounds last seconds.
            look = partial(self._look, places, kept.pop_all(), crowd=crowd)
            await in_thread(look, grace=0.0)

    def _look(self, places: Mapping[str, Path], kept: ExitStack, *, crowd: bool) -> None:
        with kept:
            busy = self._busy(places)
            end, behind = monotonic() + _LONGEST, set[str]()
            for name, proc in places.items():
                if crowd and name in busy:
                    behind.add(name)
                    _weigh(busy[name], _BEHIND, end)
                elif name in self._behind and not _weigh(_processes(proc), _AS_ALL, end):
                    behind.add(name)
        self._behind = behind

    def _places(self, kept: ExitStack) -> Iterator[tuple[str, Path]]:
        """The /proc of each sandbox that runs, open: the watch may close its own meanwhile."""
        for name, record in self._records.items():
            live = record.running
            if live is not None and live.watch is not None:
                try:
                    found = os.open(live.watch.proc, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                except OSError:  # it is just going away
                    continue
                kept.callback(os.close, found)
                yield name, Path(f"/proc/self/fd/{found}")

    def _busy(self, places: Mapping[str, Path]) -> dict[str, set[Path]]:
        """The processes that wanted a processor all the time since the last look."""
        before, self._wanted = self._wanted, {}
        found: dict[str, set[Path]] = {}
        for name, proc in places.items():
            then, wanted = before.get(name, (0, {}))
            now, looked = self._wanted[name] = monotonic_ns(), dict[str, int]()
            for thread in _threads(proc):
                looked[thread.name] = _wanted(thread)
                more = looked[thread.name] - wanted.get(thread.name, looked[thread.name])
                if more > _ALL_THE_TIME * (now - then):
                    found.setdefault(name, set()).add(thread.parent.parent)
        return found


def _weigh(processes: Iterable[Path], nice: int, end: float) -> bool:
    """Their sessions, each once. False where that takes another look."""
    for process in processes:
        file = process / "autogroup"
        while contents(str(file)).split()[-1:] not in ([], [b"%d" % nice]):
            try:
                file.write_text(str(nice), "ascii")
                break  # who is in it may have other wishes, again and again
            except BlockingIOError:  # all who are not root may do so ten times a second
                if monotonic() > end:
                    return False
                sleep(_TURN)
            except OSError:  # it is just going away
                break
    return True


def _processes(proc: Path) -> list[Path]:
    with suppress(OSError):  # it is just going away
        return [process for process in proc.iterdir() if process.name.isdigit()]
    return []


def _threads(proc: Path) -> Iterator[Path]:
    for process in _processes(proc):
        with suppress(OSError):
            yield from (process / "task").iterdir()


def _wanted(thread: Path) -> int:
    """Nanoseconds for which it ran or waited to."""
    ran, waited, *_ = (*contents(f"{thread}/schedstat").split(), b"0", b"0")
    return int(ran) + int(waited)
