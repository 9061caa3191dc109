"""Fair shares of the processors, where no cgroup sees to them.

A sandbox that wants a processor all the time goes behind those that want one now and then: an
answer of some milliseconds is not to wait for forty computations. The kernel weighs sessions
(sched(7), autogroup), and anybody may make one of theirs lighter and heavier again; where it does
not, there is only what a sandbox begins with (`driver.NICE`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING

from e2brun.sandbox.local.memory.procfs import contents

if TYPE_CHECKING:
    from e2brun.server.sandboxes.records import Record

_AS_ALL, _BEHIND = 0, 19  # weights of 1024 and 15
_CROWD = 2  # threads that run or wait to, for each processor
_ALL_THE_TIME = 0.75


class FairShares:
    """Who goes behind others now."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records
        self._wanted: dict[tuple[str, str], int] = {}  # of each thread, so far
        self._looked = monotonic_ns()
        self._behind: set[str] = set()

    async def look(self) -> None:
        """Called every second or so; looks at sandboxes only while there is a crowd."""
        # Threads of the machine that run or wait to.
        runnable = int(contents("/proc/loadavg").split()[3].partition(b"/")[0])
        crowd = runnable > _CROWD * (os.cpu_count() or 1)
        if not crowd and not self._behind:
            self._wanted.clear()
            return
        before, behind = self._wanted, set[str]()
        passed, self._looked = monotonic_ns() - self._looked, monotonic_ns()
        self._wanted = {}
        for name, record in tuple(self._records.items()):
            if record.running is None or record.running.watch is None or record.running.frozen:
                continue
            proc = Path(record.running.watch.proc)
            for thread in _threads(proc):
                wanted = self._wanted[name, thread.name] = _wanted(thread)
                if wanted - before.get((name, thread.name), wanted) > _ALL_THE_TIME * passed:
                    behind.add(name)
            if crowd and name in behind:
                _weigh(proc, _BEHIND)
            elif name in self._behind:
                _weigh(proc, _AS_ALL)
            await asyncio.sleep(0)
        self._behind = behind if crowd else set()


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


def _weigh(proc: Path, nice: int) -> None:
    for process in _processes(proc):
        # Who is not root may do so ten times a second: the rest comes later, if none is repeated.
        file = process / "autogroup"
        with suppress(OSError):
            if contents(str(file)).split()[-1:] != [b"%d" % nice]:
                file.write_text(str(nice), "ascii")
