"""Keeps every sandbox to its memory, where no cgroup does, and all of them to what they may have
together: looks from outside, and often enough.

Looking at one sandbox costs a few system calls, and a thousand idle ones would cost a whole
processor: so the host's memory is watched closely, and the sandboxes when it shrinks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from e2brun.errors import SandboxError
from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.memory.watch import INTERVAL, MemoryWatch
from e2brun.server.sandboxes.records import Record
from e2brun.server.sandboxes.totals import Totals, apart, available_memory

log = logging.getLogger("e2brun.server")

_NOTICEABLE = 32 * MIB  # that much less for the host since the last round: time for another
_ROUND_SECONDS = 2.0  # a round at least that often: growth may hide behind what others give back
_MERCY_SECONDS = 1.0  # for everything inside to be gone once it was killed


class MemoryMonitor:
    """Ends the programs of a sandbox that uses more than its limit; if that does not help, it."""

    def __init__(
        self,
        records: Mapping[str, Record],
        totals: Totals,
        kill: Callable[[Record, str], None],
        chore: Callable[[Coroutine[Any, Any, object]], object],
    ) -> None:
        """`chore` does something in the background."""
        self._records, self._totals, self._kill, self._chore = records, totals, kill, chore

    async def run(self) -> NoReturn:
        loop, available = asyncio.get_running_loop(), available_memory()
        rounds = loop.time()
        while True:
            now = available_memory()
            if available - now > _NOTICEABLE or loop.time() - rounds > _ROUND_SECONDS:
                available, rounds = now, loop.time()
                if await self._round():
                    rounds = 0.0  # another at the next look
            available = max(available, now)
            await asyncio.sleep(INTERVAL)

    async def _round(self) -> bool:
        """Look at each; whether one of them is to be looked at again soon."""
        doubtful = False
        for record in tuple(self._records.values()):
            if await _exceeds(record):
                self._chore(self._end_programs(record))
            live = record.running
            doubtful |= live is not None and live.watch is not None and live.watch.doubtful
            await asyncio.sleep(0)  # requests come first
        for record, why in await self._totals.excess():
            log.warning("sandbox %s ends: %s", record.id, why)
            record.journal.note(f"out of memory: {why}", "error")
            self._kill(record, why)
        return doubtful

    async def _end_programs(self, record: Record) -> None:
        live = record.running
        if live is None or record.over_limit:
            return
        record.over_limit = True
        try:
            log.warning("sandbox %s uses more memory than it may: its programs end", record.id)
            record.journal.note("out of memory: every program in the sandbox was killed", "error")
            with suppress(SandboxError, AgentRefused):
                await live.link.ask("halt", patience=_MERCY_SECONDS)
            await asyncio.sleep(_MERCY_SECONDS / 4)
            if record.running is live and await _exceeds(record):
                self._kill(record, "it used more memory than it may")
        finally:
            record.over_limit = False


async def _exceeds(record: Record) -> bool:
    live = record.running
    if live is None or live.watch is None or live.gone.is_set():
        return False
    with suppress(OSError, ValueError):  # it is just going away
        if not live.watch.suspicious():
            return False
        # In a thread: who maps the same pages over and over takes long to be counted.
        return await asyncio.to_thread(apart, live.watch.apart(), MemoryWatch.exceeded)
    return False
