"""TLS on the way to programs inside, on the ports that a client has named as `httpsPorts`. Nobody's
certificate is checked: only the sandbox's own loopback can be at the other end."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from e2brun.sandbox.local.host.inside import Inside

T = TypeVar("T")

_PIECE = 64 * 1024
_HANDSHAKE_SECONDS = 5.0


class Encrypted:
    """As `Inside`, with TLS in between."""

    def __init__(self, plain: Inside) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = _context().wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._sending = asyncio.Lock()

    async def shake_hands(self) -> None:
        """Raises OSError when the other side does not speak it."""
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            await self._done(self._tls.do_handshake)
            await self._flush()

    async def receive(self, most: int) -> bytes:
        """What has come, b"" at the end. Raises OSError."""
        try:
            return await self._done(lambda: self._tls.read(most))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        self._tls.write(data)
        await self._flush()

    def shut_down(self) -> None:
        self._plain.shut_down()

    def close(self) -> None:
        """Let go of it, and say so: who only sees the connection end takes it for cut off."""
        with suppress(OSError):
            self._tls.unwrap()
        self._plain.say(self._outgoing.read())
        self._plain.close()

    async def _done(self, step: Callable[[], T]) -> T:
        """What comes of `step`, which may have to hear more of the other side."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take_in()

    async def _flush(self) -> None:
        async with self._sending:  # reading sends as well, and records must keep their order
            while data := self._outgoing.read(_PIECE):
                await self._plain.send(data)

    async def _take_in(self) -> None:
        if data := await self._plain.receive(_PIECE):
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


Connected = Inside | Encrypted


@functools.cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
