"""The service on a socket: uvicorn, with what E2B's clients need beyond its defaults.

- Keep-alive outlasts the 300 s for which the SDKs pool idle connections (E2B_PROTOCOL 1.2).
- A connection can be reset in mid-answer: the one end that no SDK takes for a finished answer
  (E2B_PROTOCOL 3.7).
- A connection can be handed over to a port inside a sandbox (WebSocket and other upgrades).
- Even what cannot be parsed is answered in E2B's error shape.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from e2brun.server.service import Service

_KEEP_ALIVE = 640  # seconds, as envd's
_BACKLOG = 1024
_EARLY_LIMIT = 256 * 1024  # bytes a client may send before its upgrade is answered
_HEADER_SECONDS = 30.0  # for a client to send the head of its first request
_CLOSING_SECONDS = 2
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds: close(2) sends RST


class Connection(HttpToolsProtocol):
    """One client's connection."""

    reset_by: dict[tuple[str, int], Connection]  # all that are open; set for each server

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tunnel: Callable[[bytes], None] | None = None
        self._early = bytearray()
        self._upgrading = False
        self._patience: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if self.client is not None:
            self.reset_by[self.client] = self
        self._patience = self.loop.call_later(_HEADER_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        if self.client is not None and self.reset_by.get(self.client) is self:
            del self.reset_by[self.client]
        if self._patience is not None:
            self._patience.cancel()
        self.ended.set()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins: tell the application whose connection it is on."""
        super().on_message_begin()
        if self._patience is None:
            self._patience = self.loop.call_later(_HEADER_SECONDS, self._too_slow)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {"e2brun.connection": self}

    def on_headers_complete(self) -> None:
        """Its head is there."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        super().on_headers_complete()

    def _too_slow(self) -> None:
        self._patience = None
        if not self.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of what came after an upgrade."""
        if self._tunnel is not None:
            self._tunnel(data)
            return
        if self._upgrading:
            self._early += data
            if len(self._early) > _EARLY_LIMIT:
                self.transport.pause_reading()
            return
        self._unset_keepalive_if_required()
        try:
            if self.parser is not None:  # connection_lost takes it away
                self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrading = True
            self._early += data[upgrade.args[0] :]
        except httptools.HttpParserError:
            self.send_400_response("this is not HTTP")

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed is refused in the shape of every other error."""
        if self.transport.is_closing():
            return
        body = json.dumps({"code": 400, "message": msg}).encode()
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.transport.close()

    def reset(self) -> None:
        """Cut it off with a TCP reset."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self.transport.is_closing():
            with suppress(OSError), socket.socket(fileno=connection.dup().detach()) as copy:
                copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def take_over(self, receiver: Callable[[bytes], None]) -> asyncio.Transport:
        """From now on give every byte the client sends to `receiver`; write to what is returned.
        `ended` is set when the client has gone."""
        self._tunnel = receiver
        self._unset_keepalive_if_required()
        if self._early:
            receiver(bytes(self._early))
            self._early.clear()
        self.transport.resume_reading()
        return self.transport


async def run(
    service: Service,
    listener: socket.socket,
    on_listening: Callable[[], object],
    until: Callable[[], Awaitable[object]],
) -> None:
    """Serve on a bound socket until `until()` returns; then end every sandbox.

    `on_listening` is called when requests are answered. No signal handler is installed.
    """
    _raise_open_files()
    open_connections: dict[tuple[str, int], Connection] = {}
    protocol = type("ServiceConnection", (Connection,), {"reset_by": open_connections})

    def reset(client: tuple[str, int]) -> None:
        if (connection := open_connections.get(client)) is not None:
            connection.reset()

    config = uvicorn.Config(
        service.app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_CLOSING_SECONDS,
        backlog=_BACKLOG,
    )
    config.load()
    service.app.reset = reset
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await service.start()
    try:
        await server.startup(sockets=[listener])
        on_listening()
        await _until(until, server)
    finally:
        await service.close()
        server.should_exit = True
        await server.shutdown(sockets=[listener])


async def _until(until: Callable[[], Awaitable[object]], server: uvicorn.Server) -> None:
    """Wait, and keep uvicorn's clock going meanwhile."""
    waiting = asyncio.ensure_future(until())
    ticks = 0
    try:
        while not waiting.done():
            await asyncio.wait((waiting,), timeout=0.5)
            ticks += 1
            await server.on_tick(ticks)
        await waiting
    finally:
        waiting.cancel()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop to run it on."""
    import uvloop

    return uvloop.new_event_loop


def _raise_open_files() -> None:
    """A sandbox costs half a dozen descriptors; the usual soft limit of 1024 is soon met."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
