"""What `--https` opens beside the plain listener: a port for its names, and the proxy to them; and
the environment in which a command finds the names, and trusts their authority."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from e2brun.sandbox.local.host.descriptors import Watched
from e2brun.server.http.listening import bind, port_of
from e2brun.server.https.authority import DOMAIN, Authority
from e2brun.server.https.forwarding import Proxy

_HANDSHAKE = b"\x16"  # the type of a TLS record that begins one; no method of HTTP begins so
_FIRST_BYTE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1  # when the process is out of descriptors

_HOST = "127.0.0.1"
_BACKLOG = 1024
NAMES = Path(__file__).with_name("names")
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT")


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
        given = self._given
        trusted = given.get("SSL_CERT_FILE") or given.get("REQUESTS_CA_BUNDLE")
        bundle = str(self.authority.bundle(Path(trusted) if trusted else None))
        proxy = f"http://e2b:{quote(self._key, safe='')}@127.0.0.1:{self._proxy_port}"
        require = f'--require "{NAMES / "names.cjs"}"'
        return {
            **dict.fromkeys(_BUNDLES, bundle),
            "E2B_DOMAIN": self.domain,
            "E2BRUN_HTTPS_DOMAIN": DOMAIN,
            "NODE_EXTRA_CA_CERTS": str(self.authority.certificate),
            "PYTHONPATH": _joined(":", str(NAMES), given.get("PYTHONPATH")),
            "NODE_OPTIONS": _joined(" ", given.get("NODE_OPTIONS"), require),
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
        }

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


def upstream(given: Mapping[str, str]) -> tuple[str, int, str] | None:
    """The proxy that the caller's environment names for https."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        parts = urlsplit(given.get(name, ""))
        if parts.hostname and parts.scheme in ("http", ""):
            user, named, _ = parts.netloc.rpartition("@")
            given_as = base64.b64encode(unquote(user).encode()).decode()
            return parts.hostname, parts.port or 80, f"Basic {given_as}" if named else ""
    return None


def _joined(separator: str, *parts: str | None) -> str:
    return separator.join(part for part in parts if part)


class Either:
    """A listener for TLS and plain HTTP alike: a connection's first byte tells which it is, for
    programs that were given `get_host(port)` make `http://` of it as well (E2B's edge takes both).

    Serves from `start` to `close`; `connection` makes the protocol of a client.
    """

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
