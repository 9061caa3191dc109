"""A listener for TLS and plain HTTP alike: a connection's first byte tells which it is.

Programs that were given `get_host(port)` make `http://` of it as well (E2B's own edge takes both).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from e2brun.sandbox.local.host.descriptors import Watched

_HANDSHAKE = b"\x16"  # the type of a TLS record that begins one; no method of HTTP begins so
_FIRST_BYTE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1  # when the process is out of descriptors


class Either:
    """Serves from `start` to `close`; `connection` makes the protocol of a client."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        connection: Callable[[], asyncio.Protocol],
    ) -> None:
        self._listener, self._context, self._connection = listener, context, connection
        self._accepting: asyncio.Task[None] | None = None

    def start(self, backlog: int) -> None:
        """Take connections from now on."""
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Take no more; those that were taken go on."""
        if self._accepting is not None:
            self._accepting.cancel()

    async def wait_closed(self) -> None:
        """Until nobody is waited for any more."""
        if self._accepting is not None:
            await asyncio.wait((self._accepting,))

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    client, _ = await loop.sock_accept(self._listener)
                except OSError:
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                group.create_task(self._take(client))

    async def _take(self, client: socket.socket) -> None:
        try:
            client.setblocking(False)
            async with asyncio.timeout(_FIRST_BYTE_SECONDS):
                await Watched(client.fileno()).readable()
            first = client.recv(1, socket.MSG_PEEK)
            if first:
                context = self._context if first == _HANDSHAKE else None
                await asyncio.get_running_loop().connect_accepted_socket(
                    self._connection, client, ssl=context
                )
                return
        except (OSError, TimeoutError):  # it has gone, or says nothing, or no TLS of ours
            pass
        except asyncio.CancelledError:
            client.close()
            raise
        client.close()
