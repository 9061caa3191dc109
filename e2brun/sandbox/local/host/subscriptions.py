"""What one client is still to be sent of a process's events: a queue that knows when it is full."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from e2brun.errors import SandboxLost

Event = dict[str, Any]

_FULL, _ROOM = 1024 * 1024, 256 * 1024  # bytes
_EVENT = 1024  # of memory that an event takes beside its data, which may be a single byte


class Subscription:
    """Events for one client, from now on. `on_room` is called when a full queue has room again."""

    def __init__(self, on_room: Callable[[], None]) -> None:
        self._on_room = on_room
        self._events: deque[tuple[Event, int]] = deque()
        self._size = 0
        self._waiting: asyncio.Future[None] | None = None
        self._lost = False
        self.ended = False
        self.full = False

    def put(self, event: Event, size: int = 0) -> None:
        """Add an event of so many bytes. The caller looks at `full` and stops reading then."""
        self._events.append((event, size + _EVENT))
        self._size += size + _EVENT
        self.full = self._size >= _FULL
        self._wake()

    def end(self) -> None:
        self.ended = True
        self._wake()

    def lose(self) -> None:
        """The sandbox is gone, and what is queued with it."""
        self._lost = True
        self._wake()

    async def next(self, patience: float) -> Event | None:
        """The next event; None at the end. Raises TimeoutError when none comes in time."""
        while not self._events:
            if self._lost:
                raise SandboxLost("the sandbox went away")
            if self.ended:
                return None
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(patience):
                    await self._waiting
            finally:
                self._waiting = None
        if self._lost:
            raise SandboxLost("the sandbox went away")
        event, size = self._events.popleft()
        self._size -= size
        if self.full and self._size <= _ROOM:
            self.full = False
            self._on_room()
        return event

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
