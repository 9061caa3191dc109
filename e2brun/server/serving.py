"""The service in one object, and on a socket: uvicorn, set up for E2B's clients (`connection` is
its other half).

Keep-alive outlasts the 300 s for which the SDKs pool idle connections (E2B_PROTOCOL 1.2), and no
timeout cuts an answer, which may last for hours.
"""

from __future__ import annotations

import asyncio
import ctypes
import resource
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

from e2brun.server.app import App
from e2brun.server.http.connection import Connection
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes.durable import Scratch, StateDirectory
from e2brun.server.sandboxes.registry import Registry

if TYPE_CHECKING:
    from e2brun.server.builds.builder import Builder
    from e2brun.server.https.listeners import Https

_KEEP_ALIVE = 640  # seconds, as envd's
_BACKLOG = 1024
_CLOSING_SECONDS = 2
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT = 16 * 1024 * 1024  # bytes that are free and stay ours
_GRACE_SECONDS = 1.0  # for answers on their way when the service ends


def _builder(registry: Registry) -> Builder:
    from e2brun.server.builds.builder import Builder

    return Builder(registry, registry.directory, durable=registry.durable)


class Service:
    """Sandboxes behind E2B's protocol; `app` is the ASGI application."""

    def __init__(self, options: ServiceOptions) -> None:
        self.options = options
        self._scratch = Scratch() if options.state is None else StateDirectory(options.state)
        self.registry = Registry(options, self._scratch.path, _builder)
        self.app = App(self.registry, options)

    async def close(self) -> None:
        """Kill every sandbox, drop whoever talks to one, remove what was kept for them."""
        try:
            await self.registry.close()
        finally:
            self._scratch.close()


async def run(
    service: Service,
    listener: socket.socket,
    on_listening: Callable[[], object],
    until: Callable[[], Awaitable[object]],
    https: Https | None = None,
) -> None:
    """Serve on a bound socket until `until()` returns; then end every sandbox.

    `https`: on its sockets, too. `on_listening` is called when requests are answered. No signal
    handler is installed.
    """
    _raise_open_files()
    _keep_memory()
    config = uvicorn.Config(
        service.app,
        http=Connection,
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
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await service.registry.start()
    try:
        await server.startup(sockets=[listener])
        if https is not None:
            await https.open(lambda: Connection(config, server.server_state, server.lifespan.state))
        on_listening()
        await _until(until, server)
    finally:
        await service.close()
        server.should_exit = True
        # Requests that are not over by themselves see their client leave: a clean end for them.
        asyncio.get_running_loop().call_later(_GRACE_SECONDS, _abort, server)
        if https is not None:
            await https.stop()
        await server.shutdown(sockets=[listener])


def _abort(server: uvicorn.Server) -> None:
    for connection in list(server.server_state.connections):
        if isinstance(connection, Connection):
            Connection.abort(connection)


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
    import uvloop

    return uvloop.new_event_loop


def _raise_open_files() -> None:
    """A sandbox costs half a dozen descriptors; the usual soft limit of 1024 is soon met."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _keep_memory() -> None:
    """What bodies are read into comes and goes, piece by piece. Given back to the kernel each time,
    as malloc has it, it would come with new pages, whose clearing is a third of an upload."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT // 4)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
