"""Connections to host names: judged by the name that a client says, as E2B does, not by address.

A connection to port 80 or 443 comes to us; its first bytes say whom it is for (Host, or the server
name of TLS). If that is allowed we look the name up ourselves and connect: whatever address the
program had, and whatever it says of names, it reaches that host or nobody. What is not ours to give
(this machine, private and link-local networks) is not reached by a name either.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.isolation import out_of_reach
from e2brun.server.egress import rules
from e2brun.server.egress.first_words import NotTold, http_host, server_name
from e2brun.server.http.messages import Refused
from e2brun.server.http.passing import pass_on

log = logging.getLogger("e2brun.server")

_PATIENCE = 10.0  # seconds until the name is said, and the host is reached
_MOST = 256  # connections of one sandbox: each has two descriptors of the service


class Egress:
    """What one sandbox may reach: a part of it."""

    def __init__(self, live: RunningSandbox) -> None:
        self._live = live
        self._names: tuple[str, ...] = ()
        self._limited = False
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()

    async def follow(self, network: Mapping[str, Any] | None, internet: bool | None) -> None:
        """These settings hold from now on. Raises ApiError 400, SandboxLost."""
        found = rules.of(network, internet)
        async with self._changing:
            if found is None and not self._limited:
                return
            try:
                descriptors = await self._live.confine(found)
            except OSError as error:
                message = f"rules for what it may reach cannot be kept here: {error}"
                raise Refused(400, message) from error
            self.close()
            self._limited = found is not None
            self._names = rules.names_of(network)
            for port, descriptor in zip(rules.NAMED_PORTS, descriptors, strict=False):
                self._servers.append(await self._serve(port, descriptor))

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in tuple(self._connections):
            task.cancel()
        self._servers = []

    async def _serve(self, port: int, descriptor: int) -> asyncio.Server:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            try:
                if task is None or len(self._connections) >= _MOST:
                    return
                self._connections.add(task)
                task.add_done_callback(self._connections.discard)
                await self._pass_on(port, reader, writer)
            except asyncio.CancelledError:  # the rules have changed, or the sandbox is gone
                return
            finally:
                writer.close()

        return await asyncio.start_server(talk, sock=socket.socket(fileno=descriptor))

    async def _pass_on(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError, NotTold, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_PATIENCE):
                said = await (server_name if port == 443 else http_host)(reader)
                if not allows(self._names, said.name):
                    return
                out_reader, out_writer = await _connect(said.name, port)
            try:
                out_writer.write(said.words)
                await asyncio.gather(pass_on(reader, out_writer), pass_on(out_reader, writer))
            finally:
                out_writer.close()


def allows(names: Sequence[str], name: str) -> bool:
    """Whether one of `names` is it, or stands for it: `*.example.com` for all below."""
    return any(
        name == one or (one.startswith("*.") and name.endswith(one[1:]) and name != one[2:])
        for one in names
    )


async def _connect(name: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    closed = out_of_reach.seen_from_host(private=True)
    for *_, (address, *_) in found:
        packed = socket.inet_aton(str(address))
        if not any(network.holds(packed) for network in closed):
            return await asyncio.open_connection(str(address), port)
    raise NotTold(f"{name} is nobody on the internet")
