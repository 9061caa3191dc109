"""TLS on the way to programs inside, on the ports that a client has named as `httpsPorts`."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2brun.sandbox.local.host.running import RunningSandbox

_PIECE = 64 * 1024
_HANDSHAKE_SECONDS = 5.0


class Encrypted:
    """A part of a RunningSandbox: the connections that speak TLS to its programs.

    Nobody's certificate is checked: only the sandbox's own loopback can be at the other end.
    """

    def __init__(self, live: RunningSandbox) -> None:
        self._relays: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """The sandbox is gone."""
        for relay in self._relays:
            relay.cancel()

    async def over(self, plain: socket.socket) -> socket.socket:
        """A connection whose bytes go over `plain`, which is ours from now on, in TLS.

        Raises OSError when the other side does not speak it.
        """
        try:
            reader, writer = await asyncio.open_connection(
                sock=plain,
                ssl=_context(),
                server_hostname="localhost",
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            )
        except BaseException:
            plain.close()
            raise
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        relay = asyncio.ensure_future(_relay(reader, writer, far))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)
        return near


@functools.cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: socket.socket
) -> None:
    """Pass on bytes both ways until the near end is closed."""
    outward = asyncio.ensure_future(_outward(reader, far))
    try:
        with suppress(OSError):  # the program has hung up; `_outward` tells
            while piece := await asyncio.get_running_loop().sock_recv(far, _PIECE):
                writer.write(piece)
                await writer.drain()
    except asyncio.CancelledError:
        writer.transport.abort()
        raise
    finally:
        outward.cancel()
        await asyncio.gather(outward, return_exceptions=True)
        writer.close()  # what it has still to send goes first
        far.close()


async def _outward(reader: asyncio.StreamReader, far: socket.socket) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            await asyncio.get_running_loop().sock_sendall(far, piece)
    with suppress(OSError):
        far.shutdown(socket.SHUT_WR)
