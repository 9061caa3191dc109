"""A client's connection given to a program inside: bytes both ways, until either side ends it."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

from e2brun.server.http.connection import Connection
from e2brun.server.ports.tls import Connected

_PIECE = 64 * 1024
_BUFFER = 256 * 1024  # bytes of the client's that wait for the program
_LAST_SECONDS = 5.0  # for what one side sent last, when it has closed


class Tunnel:
    """The bytes between the two. `inside` is closed by whoever opened it."""

    def __init__(self, client: Connection, inside: Connected) -> None:
        self._client, self._inside = client, inside
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._wake = asyncio.Event()

    async def run(self, first: bytes) -> None:
        """Send `first` to the client, then pass on; the client's connection is over afterwards.
        Cancelled (the sandbox is gone), it resets that connection."""
        client = self._client
        client.take_over(self._take)
        tasks = [
            asyncio.ensure_future(part)
            for part in (self._outward(first), client.ended.wait(), self._inward())
        ]
        outward, ended, inward = tasks
        try:
            await asyncio.wait((outward, ended), return_when=asyncio.FIRST_COMPLETED)
            await self._finish(outward, inward)
        except asyncio.CancelledError:
            client.reset()
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # It must have gone before its request ends, or an answer would be missed.
            client.abort()
            await client.ended.wait()

    async def _finish(self, outward: asyncio.Future[Any], inward: asyncio.Future[Any]) -> None:
        if not outward.done():  # the client has closed; the program still gets what it sent
            self._waiting.append(b"")
            self._wake.set()
            await asyncio.wait((inward,), timeout=_LAST_SECONDS)
        elif outward.cancelled() or outward.exception() is not None:
            self._client.reset()
        else:
            self._client.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._client.ended.wait()

    def _take(self, data: bytes) -> None:
        self._waiting.append(data)
        self._held += len(data)
        self._wake.set()
        if self._held > _BUFFER:
            self._client.hold()

    async def _inward(self) -> None:
        """To the program, until the client's b""."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                data = self._waiting.popleft()
                if not data:
                    return
                await self._inside.send(data)
                self._held -= len(data)
            self._client.go_on()

    async def _outward(self, first: bytes) -> None:
        """To the client, until the program closes. Raises OSError when it breaks off."""
        piece = first
        while piece:
            await self._client.send(piece)
            piece = await self._inside.receive(_PIECE)
