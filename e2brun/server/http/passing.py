"""What one connection brings, passed on to another."""

from __future__ import annotations

import asyncio

_PIECE = 256 * 1024


async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """One way, until its end, which is passed on; at a time no more than the other side takes."""
    try:
        while piece := await source.read(_PIECE):
            sink.write(piece)
            await sink.drain()
        if sink.can_write_eof() and not sink.is_closing():  # uvloop minds it
            sink.write_eof()
    except OSError:
        sink.transport.abort()
