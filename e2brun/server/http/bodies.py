"""Bodies of uploads without their Content-Encoding, in pieces of bounded size."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

from e2brun.server.http.messages import ApiError, Gone, Request

_EXPANDED = 256 * 1024
_HEAR_SECONDS = 30.0


async def decoded(request: Request) -> AsyncGenerator[bytes]:
    """What the client means. Raises ApiError 400, Gone."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        pieces = request.pieces()
    elif encoding in ("gzip", "x-gzip"):
        pieces = _expanded(request.pieces())
    else:
        raise ApiError(400, f"unsupported content encoding '{encoding[:64]}'")
    async for piece in pieces:
        yield piece


async def hear_out(request: Request) -> None:
    """Before a refusal: most clients listen only when they have sent everything."""
    with suppress(TimeoutError, Gone):
        async with asyncio.timeout(_HEAR_SECONDS):
            async for _ in request.pieces():
                pass


async def _expanded(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    expand = _expander()
    started = False
    async for piece in pieces:
        left = piece
        while left:
            if expand.eof:  # members of a gzip file follow one another
                expand = _expander()
            started = True
            try:
                data = expand.decompress(left, _EXPANDED)
            except zlib.error:
                raise ApiError(400, "the body is not valid gzip") from None
            if data:
                yield data
            left = expand.unconsumed_tail or expand.unused_data
    if not expand.eof or not started:
        raise ApiError(400, "the gzip body ends too early")


def _expander() -> zlib._Decompress:  # pyright: ignore[reportPrivateUsage]
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
