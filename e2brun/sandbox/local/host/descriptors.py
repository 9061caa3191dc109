"""Waiting for pipes on the event loop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress

PIECE = 256 * 1024
_PIPE_SIZE = 1024 * 1024


def pipe() -> tuple[int, int]:
    """(read, write), roomy where that is allowed, both blocking."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with suppress(OSError):  # past what one user may have in pipes
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    return read, write


async def until_readable(descriptor: int) -> None:
    """Returns when there is something to read, or the end of it."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


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


async def until_writable(descriptor: int) -> None:
    """Returns when there is room, or nobody is left to read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(descriptor, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(descriptor)


async def write_all(descriptor: int, data: bytes, patience: float) -> None:
    """Write to a non-blocking descriptor. Raises BrokenPipeError, TimeoutError when it takes
    nothing for `patience` seconds."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            async with asyncio.timeout(patience):
                await until_writable(descriptor)


async def read_all(descriptor: int) -> AsyncGenerator[bytes]:
    """What comes out of a non-blocking descriptor, until its end."""
    while True:
        try:
            piece = os.read(descriptor, PIECE)
        except BlockingIOError:
            await until_readable(descriptor)
            continue
        if not piece:
            return
        yield piece


def _give(came: asyncio.Future[bytes | OSError], found: bytes | OSError) -> None:
    if not came.done():
        came.set_result(found)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
