"""What all sandboxes of a service have together, in memory and in files, and may have.

No create reserves what its sandbox may come to: few could be made. One counts with what it has, and
while it is new with a little; who grows past what is left ends.

Between two looks something is gained (see `memory_monitor`), so who is to end is told a little
before the limit, and it is kept by a limit below what the machine has, not to the byte.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.memory.procfs import contents, kilobytes
from e2brun.sandbox.local.memory.unaccounted import set_aside
from e2brun.sandbox.local.memory.watch import MemoryWatch
from e2brun.server.sandboxes.records import Record

T = TypeVar("T")

TREE = "tree-"  # how the files of paused sandboxes and snapshots are called
_OF_WHAT_IS_FREE = 0.75
_YOUNG = 8 * MIB  # a sandbox has at least that
_OWN = 64 * MIB  # what a create needs to be left; who has less is not ended for a larger one
_MARGIN = 64 * MIB
_SAME = 4 * MIB  # a change that is no reason for a closer look
_AGAIN = 8  # so many closer looks in each round, for nobody tells when a page is shared no more


class Totals:
    """The limits, and what the last look has found."""

    def __init__(
        self,
        records: Mapping[str, Record],
        memory: int,
        disk: int,
        directory: Path,
        volumes: Callable[[], int] = lambda: 0,
    ) -> None:
        """Bytes; 0: three quarters of what is free now. `directory`: where files are kept;
        `volumes`: what is in those."""
        self._volumes = volumes
        self._records, self._directory = records, directory
        self._memory = memory or int(available_memory() * _OF_WHAT_IS_FREE)
        self._disk = disk or int(shutil.disk_usage(directory).free * _OF_WHAT_IS_FREE)
        self._margin = min(_MARGIN, self._memory // 16)
        self._held: dict[str, int] = {}  # of each sandbox, memory and files
        self._files: dict[str, int] = {}
        self._lent: dict[str, tuple[int, int]] = {}  # what of it others have too; and all by then

    def refusal(self, starting: int, tree: Path | None) -> str | None:
        """Why there is no room for another one with the files of `tree`, beside those that are
        just starting; None where there is."""
        files = tree.stat().st_size if tree is not None else 0
        memory = sum(max(self._held.get(name, 0), _YOUNG) for name in self._records)
        memory += starting * _YOUNG
        if memory + _OWN + files > self._memory - self._margin:
            return _full(memory, self._memory, "memory and files", "--total-memory")
        return self.no_room(files)

    def no_room(self, files: int) -> str | None:
        """Why so many bytes of files more cannot be kept; None where they can."""
        disk = sum(self._files.get(name, 0) for name in self._records) + self._kept()
        disk += self._volumes()  # no reason to end a sandbox that has none
        if disk + files >= self._disk:
            return _full(disk, self._disk, "files", "--total-disk")
        return None

    async def excess(self) -> list[tuple[Record, str]]:
        """Who is to end, and why, by what each was just seen to have."""
        live = dict(self._records)
        running = {name: one.running for name, one in live.items() if one.running is not None}
        files = {name: one.watch.files for name, one in running.items() if one.watch is not None}
        held = {name: one.watch.held for name, one in running.items() if one.watch is not None}
        if sum(held.values()) + _OWN > self._memory - self._margin:
            held = await self._by_itself(running, held)
        memory = self._memory - self._margin
        ends = {
            name: f"more memory and files than {_size(self._memory)} (--total-memory)"
            for name in chosen(self._held, held, memory)
        }
        for name in chosen(self._files, files, self._disk - self._kept()):
            ends[name] = f"more files than {_size(self._disk)} (--total-disk)"
        self._held = {name: held[name] for name in held if name not in ends}
        self._files = {name: files[name] for name in files if name not in ends}
        past = "and this one grew past what was left"
        return [
            (live[name], f"all sandboxes together had {what}, {past}")
            for name, what in ends.items()
        ]

    async def _by_itself(
        self, running: Mapping[str, RunningSandbox], held: Mapping[str, int]
    ) -> dict[str, int]:
        """`held`, without what is counted for others as well."""
        self._lent = {name: lent for name, lent in self._lent.items() if name in held}
        again = list(self._lent)[:_AGAIN]  # those whose last look is longest ago
        for name, now in held.items():
            _, then = self._lent.get(name, (0, -_SAME))
            if abs(now - then) >= _SAME or name in again:
                self._lent.pop(name, None)
                self._lent[name] = await _lent(running[name]), now
        return {name: max(0, now - self._lent[name][0]) for name, now in held.items()}

    def _kept(self) -> int:
        with os.scandir(self._directory) as entries:
            return sum(_length(entry) for entry in entries if entry.name.startswith(TREE))


def chosen(before: Mapping[str, int], now: Mapping[str, int], most: int) -> list[str]:
    """Who has to go, so that no more than `most` is left: the largest of those that grew."""
    left, total, gone = dict(now), sum(now.values()), list[str]()
    while left and total > most:
        large = [name for name in left if left[name] > _OWN] or list(left)
        growth = {name: left[name] - before.get(name, 0) for name in large}
        limit = max(0, *growth.values()) / 4
        grown = [name for name in large if growth[name] >= limit] or large
        name = max(grown, key=left.__getitem__)
        total -= left.pop(name)
        gone.append(name)
    return gone


async def _lent(live: RunningSandbox) -> int:
    if live.watch is not None and not live.gone.is_set():
        with suppress(OSError, ValueError):  # it is just going away
            return await asyncio.to_thread(apart, live.watch.apart(), MemoryWatch.lent)
    return 0


def apart(watch: MemoryWatch, look: Callable[[MemoryWatch], T]) -> T:
    """A look that may take long, in a thread of its own: `watch` is given up with it."""
    try:
        return look(watch)
    finally:
        watch.close()


def _length(entry: os.DirEntry[str]) -> int:
    with suppress(OSError):
        return entry.stat(follow_symlinks=False).st_size
    return 0


def _full(used: int, limit: int, what: str, option: str) -> str:
    return (
        f"all sandboxes together have {_size(used)} of {what}, and may have {_size(limit)}: "
        f"end some, or start the service with a higher {option}"
    )


def _size(size: int) -> str:
    return f"{size // MIB} MiB"


def available_memory() -> int:
    """Bytes that the host could still give to programs."""
    available = kilobytes(contents("/proc/meminfo"), b"MemAvailable:")
    return available + set_aside()  # or what a processor had at hand would go unnoticed
