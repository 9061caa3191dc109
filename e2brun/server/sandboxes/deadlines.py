"""When each of many sandboxes has to end: one heap and one timer for all."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable

from e2brun.server.sandboxes.records import Record

_SWEEP = 256  # settings between two removals of what does not count any more


class Deadlines:
    """Calls `expired` for each record whose time is up; what is set again or cleared in between
    is passed over when its old turn comes."""

    def __init__(self, expired: Callable[[Record], None]) -> None:
        self._expired = expired
        self._heap: list[tuple[float, int, Record]] = []
        self._count = 0  # orders equal times, since records have no order
        self._timer: asyncio.TimerHandle | None = None

    def set(self, record: Record, seconds: float) -> None:
        """`record` expires in so many seconds from now."""
        record.deadline = asyncio.get_running_loop().time() + seconds
        self._count += 1
        if self._count % _SWEEP == 0:
            self._heap = [entry for entry in self._heap if entry[2].deadline == entry[0]]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (record.deadline, self._count, record))
        if self._heap[0][2] is record:
            self._arm()

    def clear(self, record: Record) -> None:
        """`record` does not expire."""
        record.deadline = 0.0

    def close(self) -> None:
        """Nothing expires any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap.clear()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._heap and self._heap[0][2].deadline != self._heap[0][0]:
            heapq.heappop(self._heap)  # set again since, cleared, or dead
        if self._heap:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._heap[0][0], self._ring)

    def _ring(self) -> None:
        self._timer = None
        # uvloop's timers have a grain of a millisecond and may ring just before the time.
        now = asyncio.get_running_loop().time() + 0.002
        while self._heap and self._heap[0][0] <= now:
            when, _, record = heapq.heappop(self._heap)
            if record.deadline == when:
                record.deadline = 0.0
                self._expired(record)
        self._arm()
