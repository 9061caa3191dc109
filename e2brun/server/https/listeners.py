"""What `--https` opens beside the plain listener: a port for its names, and the proxy to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from e2brun.server.http.listening import bind, port_of
from e2brun.server.https.authority import DOMAIN, Authority
from e2brun.server.https.either import Either
from e2brun.server.https.environment import environment, upstream
from e2brun.server.https.forwarding import Proxy

_HOST = "127.0.0.1"
_BACKLOG = 1024


class Https:
    """Two bound sockets and the authority; `open` serves on them."""

    def __init__(self, directory: Path, given: Mapping[str, str], key: str) -> None:
        """`given`: the caller's environment. Raises UsageError, CannotListen."""
        self.authority = Authority(directory)
        self._given, self._key = given, key
        self._secure, self._plain = bind(_HOST, 0), bind(_HOST, 0)
        self.port, self._proxy_port = port_of(self._secure), port_of(self._plain)
        self._serving: list[Either | asyncio.Server] = []

    @property
    def domain(self) -> str:
        return f"{DOMAIN}:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What a command's environment needs beside the service's address."""
        return environment(self._given, self.authority, self.port, self._proxy_port, self._key)

    async def open(self, connection: Callable[[], asyncio.Protocol]) -> None:
        """Serve until `stop`; `connection` makes the protocol of a client."""
        secure = Either(self._secure, self.authority.context(), connection)
        secure.start(_BACKLOG)
        self._serving.append(secure)
        proxy = Proxy(self._key, (_HOST, self.port), upstream(self._given))
        self._serving.append(await asyncio.start_server(proxy, sock=self._plain, backlog=_BACKLOG))

    async def stop(self) -> None:
        """Take no more connections; those that were taken go on."""
        for server in self._serving:
            server.close()
            if isinstance(server, Either):  # the other waits for its clients, where Python is new
                await server.wait_closed()

    def close(self) -> None:
        """Let go of the sockets, also of those that nobody served on."""
        self._secure.close()
        self._plain.close()
