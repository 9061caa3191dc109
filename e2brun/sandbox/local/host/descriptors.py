"""Waiting for descriptors on the event loop."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

PIECE = 256 * 1024
_Waiting = set[asyncio.Future[None]]


class Watched:
    """A descriptor that many may wait for, until whoever closes it says `forget`."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor  # -1: forgotten
        self._loop = asyncio.get_running_loop()
        self._readers: _Waiting = set()
        self._writers: _Waiting = set()

    async def readable(self) -> None:
        """Returns when there is something to read, or the end of it; or when it is forgotten."""
        await self._ready(self._readers, self._loop.add_reader, self._loop.remove_reader)

    async def writable(self) -> None:
        """Returns when there is room, or nobody is left to read; or when it is forgotten."""
        await self._ready(self._writers, self._loop.add_writer, self._loop.remove_writer)

    def forget(self) -> int:
        """Wait for it no more: its number, to be closed, and -1 the next time."""
        descriptor, self.descriptor = self.descriptor, -1
        for waiting, remove in (
            (self._readers, self._loop.remove_reader),
            (self._writers, self._loop.remove_writer),
        ):
            if waiting:
                remove(descriptor)
                _wake(waiting)
        return descriptor

    async def _ready(
        self, waiting: _Waiting, add: Callable[..., object], remove: Callable[[int], object]
    ) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        if not waiting:
            add(self.descriptor, _wake, waiting)
        waiting.add(future)
        try:
            await future
        finally:
            waiting.discard(future)
            if not waiting and self.descriptor >= 0:
                remove(self.descriptor)


async def read_shared(descriptor: int, most: int, patience: float) -> bytes:
    """What can be read from a descriptor of which somebody inside has a copy, and with it the say
    over O_NONBLOCK (open(2)): in a thread, since it may take for ever. Raises OSError,
    TimeoutError after `patience` seconds; the thread then stays until there is something."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes | OSError] = loop.create_future()
    copy = os.dup(descriptor)  # the number itself may be another's by the time of the read

    def read() -> None:
        try:
            found: bytes | OSError = os.read(copy, most)
        except OSError as error:
            found = error
        os.close(copy)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(_give, came, found)

    threading.Thread(target=read, daemon=True).start()
    async with asyncio.timeout(patience):
        found = await came
    if isinstance(found, OSError):
        raise found
    return found


async def write_all(descriptor: int, data: bytes, patience: float) -> None:
    """Write to a non-blocking descriptor. Raises BrokenPipeError, TimeoutError when it takes
    nothing for `patience` seconds."""
    view, watched = memoryview(data), Watched(descriptor)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            async with asyncio.timeout(patience):
                await watched.writable()


async def read_all(descriptor: int, patience: float) -> AsyncGenerator[bytes]:
    """What comes out of a non-blocking descriptor, until its end. Raises TimeoutError when nothing
    comes for `patience` seconds."""
    watched = Watched(descriptor)
    while True:
        try:
            piece = os.read(descriptor, PIECE)
        except BlockingIOError:
            async with asyncio.timeout(patience):
                await watched.readable()
            continue
        if not piece:
            return
        yield piece


def _give(came: asyncio.Future[bytes | OSError], found: bytes | OSError) -> None:
    if not came.done():
        came.set_result(found)


def _wake(waiting: _Waiting) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)
