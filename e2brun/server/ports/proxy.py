"""Ports that programs inside listen on, from outside: HTTP passed on, upgrades tunnelled.

The agent makes the connection, inside; only what listens on the sandbox's own loopback can be
reached. The client's connection carries other requests too, some with our key: it is given to
the program only after that has agreed to another protocol (101), never on the client's wish.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.server.http.connection import Connection
from e2brun.server.http.messages import ApiError, HandedOver, Request, Response, Stream
from e2brun.server.ports.tls import Connected, Encrypted
from e2brun.server.ports.upstream import Body, Upstream, UpstreamAnswer
from e2brun.server.sandboxes.records import Record

_PIECE = 64 * 1024
_BUFFER = 256 * 1024  # bytes of the client's that wait for the program
_LAST_SECONDS = 5.0  # for what one side sent last, when it has closed

# Between two hops only (RFC 9110, 7.6.1).
_HOP = frozenset({
    "connection", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
_OURS = frozenset({"e2b-sandbox-id", "e2b-sandbox-port", "e2b-traffic-access-token", "host"})
_NEEDED = frozenset({"content-length", "content-type", "set-cookie", "location"})


async def handle(request: Request, record: Record, port: int, key: str = "") -> Stream:
    """Pass a request on to `port`; neither `key` nor the sandbox's tokens go with it. Raises
    ApiError 502 when nobody listens there, HandedOver after an upgrade."""
    if request.headers.get("transfer-encoding", "chunked").lower() != "chunked":
        raise ApiError(501, "of the transfer codings only chunked is supported")
    protocol = _protocol(request)
    head = _head(request, record, port, (key, record.envd_token), protocol)
    upstream = Upstream(await _connection(request, record, port), request)
    try:
        answer = await upstream.ask(head)
        if answer.status == 101:
            await _tunnel(request, upstream, protocol)
            raise HandedOver
    except BaseException:
        await upstream.close()
        raise
    empty = request.method == "HEAD" or answer.status in (204, 304)
    return Stream(
        Body(upstream, empty=empty), answer.status, more_headers=tuple(_passed_on(answer))
    )


class _ClosedPort(ApiError):
    """To a browser a page, as at E2B: what shows previews knows it by its title."""

    def __init__(self, request: Request, record: Record, port: int) -> None:
        message = "The sandbox is running but port is not open"
        super().__init__(502, message, more={"sandboxId": record.id, "port": port})
        self._in_browser = "Mozilla/" in request.headers.get("user-agent", "")
        self._page = f"<!DOCTYPE html><title>Closed Port Error</title><p>{message}: {port}</p>"

    def response(self) -> Response:
        if not self._in_browser:
            return super().response()
        return Response(self.status, self._page.encode(), {"content-type": "text/html"})


async def _connection(request: Request, record: Record, port: int) -> Connected:
    try:
        connection = await record.live.connect(port)
    except AgentRefused:
        raise _ClosedPort(request, record, port) from None
    if port not in ((record.network or {}).get("httpsPorts") or ()):
        return connection
    encrypted = Encrypted(connection)
    try:
        await encrypted.shake_hands()
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):  # TimeoutError and SSLError are such
            raise ApiError(502, "the program inside did not answer in TLS") from None
        raise
    return encrypted


def _protocol(request: Request) -> str:
    """The protocol that the client would rather speak; "" for none that can be tunnelled."""
    if request.connection is None or "upgrade" not in _listed(request.headers.get("connection")):
        return ""
    name = request.headers.get("upgrade", "")
    # HTTP/2 would carry requests for others through the tunnel.
    return "" if "h2c" in _listed(name) else name


def _listed(value: str | None) -> list[str]:
    return (value or "").lower().replace(",", " ").split()


def _head(
    request: Request, record: Record, port: int, secrets: Iterable[str], protocol: str
) -> bytes:
    """The request's head as the program inside is to see it."""
    target = request.raw_path + (f"?{request.query_string}" if request.query_string else "")
    mask = str((record.network or {}).get("maskRequestHost") or "")
    host = mask.replace("${PORT}", str(port)) or request.headers.get("host", "localhost")
    lines = [f"{request.method} {target if target.startswith('/') else '/' + target} HTTP/1.1"]
    lines.append(f"Host: {host}")
    dropped = _HOP | _OURS | (set(_listed(request.headers.get("connection"))) - _NEEDED)
    for raw_name, raw_value in request.raw_headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name not in dropped and not _is_secret(value, secrets):
            # As E2B's proxy writes them: what captures a request as text looks for "Host:".
            lines.append(f"{name.title()}: {value}")
    if "transfer-encoding" in request.headers:
        lines.append("Transfer-Encoding: chunked")
    if protocol:
        lines += ["Connection: upgrade", f"Upgrade: {protocol}"]
    else:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _is_secret(value: str, secrets: Iterable[str]) -> bool:
    """A program's own X-API-Key is its own affair; ours is not to be told."""
    words = value.split()
    return any(secret and secret in words for secret in secrets)


def _passed_on(answer: UpstreamAnswer) -> Iterable[tuple[str, str]]:
    """The headers of an answer that are for the client."""
    named = {name for value in answer.values("connection") for name in _listed(value)}
    dropped = _HOP | (named - _NEEDED)
    if answer.status in (204, 304):
        dropped |= {"content-length"}
    return [(name, value) for name, value in answer.headers if name not in dropped]


async def _tunnel(request: Request, upstream: Upstream, protocol: str) -> None:
    """Give the client's connection to the program, until either of them closes it."""
    answer = upstream.answer
    if not protocol:
        raise ApiError(502, "the program inside changed the protocol unasked")
    lines = ["HTTP/1.1 101 Switching Protocols", "connection: upgrade"]
    lines += [f"upgrade: {value}" for value in answer.values("upgrade")]
    lines += [f"{name}: {value}" for name, value in _passed_on(answer) if name != "content-length"]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    await upstream.stop_sending()
    await Tunnel(request.connection, upstream.connection).run(head + answer.rest)


class Tunnel:
    """A client's connection given to a program inside: bytes both ways, until either side ends it.
    `inside` is closed by whoever opened it."""

    def __init__(self, client: Connection, inside: Connected) -> None:
        self._client, self._inside = client, inside
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._wake = asyncio.Event()

    async def run(self, first: bytes) -> None:
        """Send `first` to the client, then pass on; the client's connection is over afterwards.
        Cancelled (the sandbox is gone), it resets that connection."""
        client = self._client
        client.take_over(self._take)
        tasks = [
            asyncio.ensure_future(part)
            for part in (self._outward(first), client.ended.wait(), self._inward())
        ]
        outward, ended, inward = tasks
        try:
            await asyncio.wait((outward, ended), return_when=asyncio.FIRST_COMPLETED)
            await self._finish(outward, inward)
        except asyncio.CancelledError:
            client.reset()
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # It must have gone before its request ends, or an answer would be missed.
            client.abort()
            await client.ended.wait()

    async def _finish(self, outward: asyncio.Future[Any], inward: asyncio.Future[Any]) -> None:
        if not outward.done():  # the client has closed; the program still gets what it sent
            self._waiting.append(b"")
            self._wake.set()
            await asyncio.wait((inward,), timeout=_LAST_SECONDS)
        elif outward.cancelled() or outward.exception() is not None:
            self._client.reset()
        else:
            self._client.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self._client.ended.wait()

    def _take(self, data: bytes) -> None:
        self._waiting.append(data)
        self._held += len(data)
        self._wake.set()
        if self._held > _BUFFER:
            self._client.hold()

    async def _inward(self) -> None:
        """To the program, until the client's b""."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                data = self._waiting.popleft()
                if not data:
                    return
                await self._inside.send(data)
                self._held -= len(data)
            self._client.go_on()

    async def _outward(self, first: bytes) -> None:
        """To the client, until the program closes. Raises OSError when it breaks off."""
        piece = first
        while piece:
            await self._client.send(piece)
            piece = await self._inside.receive(_PIECE)
