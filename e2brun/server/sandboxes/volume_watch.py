"""Keeps volumes to their size: looks from outside at what sandboxes write, and ends who goes on.

No file system counts for us what is in a directory, so a limit is kept by counting, and not to the
byte: the disk's free room is looked at every 50 ms, the volumes that sandboxes have when it
shrinks, and every 2 seconds. Files that were deleted and are still open are in no count: they are
held by the limit on all of the disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from e2brun.errors import SandboxError
from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.host.file_worker import FileTrouble
from e2brun.server.sandboxes.records import Record
from e2brun.server.sandboxes.totals import Totals
from e2brun.server.sandboxes.volumes import Volumes

log = logging.getLogger("e2brun.server")

_GLANCE_SECONDS = 0.05
_NOTICEABLE, _NOTICEABLE_FILES = 16 * MIB, 1000
_ROUND_SECONDS = 2.0
_REST = 3  # times as long as a round has taken, until the next


class VolumeWatch:
    """Ends the sandboxes of a volume that has more than it may."""

    def __init__(
        self, volumes: Volumes, totals: Totals, kill: Callable[[Record, str], None]
    ) -> None:
        self._volumes, self._totals, self._kill = volumes, totals, kill

    async def run(self) -> NoReturn:
        loop, free, began, took = asyncio.get_running_loop(), (0, 0), 0.0, 0.0
        while True:
            if not self._volumes.in_use():
                self._volumes.mounted.clear()
                await self._volumes.mounted.wait()
                free, began = (0, 0), 0.0
                continue
            if self._volumes.disk_is_short():
                for records in self._volumes.in_use().values():
                    self._end(records, "the disk of this machine is nearly full")
            now = self._volumes.free()
            less = free[0] - now[0] > _NOTICEABLE or free[1] - now[1] > _NOTICEABLE_FILES
            pause = _REST * took if less else max(_ROUND_SECONDS, _REST * took)
            if loop.time() - began > pause:
                free, began = now, loop.time()
                await self._round()
                took = loop.time() - began
            free = (max(free[0], now[0]), max(free[1], now[1]))
            await asyncio.sleep(_GLANCE_SECONDS)

    async def _round(self) -> None:
        grown: dict[str, int] = {}
        for name, records in self._volumes.in_use().items():
            before = self._volumes.contents[name].size
            try:
                grown[name] = (await self._volumes.look(name)).size - before
            except (FileTrouble, SandboxError) as error:
                if name in self._volumes.by_id:  # who keeps us from counting is as bad
                    self._end(records, f"a volume cannot be looked into: {error}")
                continue
            if why := self._volumes.excess(name):
                self._end(records, why)
        if grown and (why := self._totals.no_room(0)) and max(grown.values()) > 0:
            most = max(grown, key=grown.__getitem__)
            self._end(self._volumes.in_use().get(most, []), why)

    def _end(self, records: list[Record], why: str) -> None:
        for record in records:
            log.warning("sandbox %s ends: %s", record.id, why)
            record.journal.note(f"out of disk: {why}", "error")
            with suppress(SandboxError):
                self._kill(record, why)
