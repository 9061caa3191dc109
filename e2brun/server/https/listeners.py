"""What `--https` opens beside the plain listener: TLS for its names, and the proxy to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from e2brun.server.http.listening import bind, port_of
from e2brun.server.https.authority import DOMAIN, Authority
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

    @property
    def domain(self) -> str:
        """What its names end in."""
        return f"{DOMAIN}:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What a command's environment needs beside the service's address."""
        return environment(self._given, self.authority, self.port, self._proxy_port, self._key)

    async def open(self, connection: Callable[[], asyncio.Protocol]) -> list[asyncio.Server]:
        """Serve; `connection` makes the protocol of a client. The servers, to be closed."""
        loop = asyncio.get_running_loop()
        proxy = Proxy(self._key, (_HOST, self.port), upstream(self._given))
        return [
            await loop.create_server(
                connection, sock=self._secure, ssl=self.authority.context(), backlog=_BACKLOG
            ),
            await asyncio.start_server(proxy, sock=self._plain, backlog=_BACKLOG),
        ]

    def close(self) -> None:
        """Let go of the sockets, also of those that nobody served on."""
        self._secure.close()
        self._plain.close()
