"""What is remembered about a sandbox: a bounded journal of events, and samples of its use."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from e2brun.sandbox.local.memory.watch import MemoryWatch
    from e2brun.server.sandboxes.records import Record

_JOURNAL_LINES = 1000
_MESSAGE_LIMIT = 1024  # characters: what programs are called comes from outside
_SAMPLES = 128
_INTERVAL = 5.0  # seconds between two samples of a young sandbox
FRESH = 0.5  # seconds: who asks for samples gets one no older than this
_TICKS = os.sysconf("SC_CLK_TCK")
CPU_COUNT = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a sandbox's log."""

    when: float  # Unix time
    level: str  # debug, info, warn, error
    message: str
    fields: Mapping[str, str] = field(default_factory=dict[str, str])


class Journal:
    """The last events of one sandbox, as the service saw them."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=_JOURNAL_LINES)

    def note(self, message: str, level: str = "info", **fields: str) -> None:
        short = {name: value[:_MESSAGE_LIMIT] for name, value in fields.items()}
        self.entries.append(Entry(time.time(), level, message[:_MESSAGE_LIMIT], short))


@dataclass(frozen=True, slots=True)
class Sample:
    """What a sandbox used at one moment; bytes, and percent of all its processors."""

    when: float
    cpu: float
    memory: int
    disk: int


class Meter:
    """Samples over the whole life of one sandbox: the longer it lives, the wider apart."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self._interval = _INTERVAL
        self._ticks = 0
        self._looked = 0.0

    def due(self, patience: float | None = None) -> bool:
        """Whether it is time for another sample."""
        wait = self._interval if patience is None else patience
        return not self.samples or time.time() - self.samples[-1].when >= wait

    def look(self, watch: MemoryWatch) -> None:
        now = time.time()
        memory, disk, ticks = watch.usage()
        passed = (now - self._looked) * _TICKS * CPU_COUNT
        spent = ticks - self._ticks
        cpu = 100 * spent / passed if self.samples and passed > 0 and spent > 0 else 0.0
        self._ticks, self._looked = ticks, now
        self.samples.append(Sample(now, round(min(cpu, 100.0), 2), memory, disk))
        if len(self.samples) > _SAMPLES:
            del self.samples[1::2]
            self._interval *= 2


class Sampler:
    """Looks at every running sandbox now and then."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records

    async def run(self) -> NoReturn:
        while True:
            for record in tuple(self._records.values()):
                sample(record)
                await asyncio.sleep(0)  # a thousand looks in a row would hold requests up
            await asyncio.sleep(1.0)


def sample(record: Record, patience: float | None = None) -> None:
    """A sample of the sandbox if one is due; `patience`: how old the last may be, in seconds."""
    live = record.running
    if live is None or live.watch is None or live.frozen or not record.meter.due(patience):
        return
    with suppress(OSError, ValueError):  # it is just going away
        record.meter.look(live.watch)
