"""Ports that programs inside listen on, from outside: HTTP passed on, upgrades tunnelled.

The agent makes the connection, inside; only what listens on the sandbox's own loopback can be
reached. What comes back is the program's and may be anything: it is parsed as HTTP/1.1 by the
same parser as our own requests and passed on under the client's connection, never cached.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

import httptools

from e2brun.server.http import ApiError, Gone, Request, Response, Stream
from e2brun.server.link import Refused
from e2brun.server.records import Record

_PIECE = 64 * 1024
_HEAD_LIMIT = 256 * 1024  # bytes of an answer's status line and headers
_TUNNEL_BUFFER = 4 * 1024 * 1024
# Between two hops only (RFC 9110, 7.6.1), and our own.
_HOP = frozenset(
    "connection keep-alive proxy-connection te trailer transfer-encoding upgrade proxy-authenticate "
    "proxy-authorization".split()
)
_OURS = frozenset(
    "e2b-sandbox-id e2b-sandbox-port e2b-traffic-access-token x-access-token x-api-key".split()
)


async def handle(request: Request, record: Record, port: int) -> Response | Stream:
    """Pass a request on to `port`. Raises ApiError 502 when nobody listens there."""
    try:
        inside = await record.live.connect(port)
    except Refused:
        raise ApiError(
            502,
            "The sandbox is running but port is not open",
            more={"sandboxId": record.id, "port": port},
        ) from None
    head = _head(request, record, port)
    if _upgrade(request) and request.connection is not None:
        return await _tunnel(request, inside, head)
    return await _pass_on(request, inside, head)


def _upgrade(request: Request) -> bool:
    words = request.headers.get("connection", "").lower().replace(",", " ").split()
    return "upgrade" in words and "upgrade" in request.headers


def _head(request: Request, record: Record, port: int) -> bytes:
    """The request's head as the program inside is to see it."""
    target = request.raw_path + (f"?{request.query_string}" if request.query_string else "")
    upgrade = _upgrade(request)
    lines = [f"{request.method} {target} HTTP/1.1"]
    for name, value in request.headers.items():
        if name in _OURS or name == "host" or (name in _HOP and not upgrade):
            continue
        lines.append(f"{name}: {value}")
    mask = str((record.origin.network or {}).get("maskRequestHost") or "")
    host = mask.replace("${PORT}", str(port)) if mask else request.headers.get("host", "localhost")
    lines.append(f"host: {host}")
    if not upgrade:
        lines.append("connection: close")
        if "transfer-encoding" in request.headers:
            lines.append("transfer-encoding: chunked")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _Answer:
    """An answer as its parser sees it (httptools' callbacks)."""

    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] = []
        self.pieces: deque[bytes] = deque()
        self.head = self.complete = False
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        """An interim answer (100) is followed by the real one."""
        self.headers, self.head, self.complete = [], False, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is there."""
        self.head = self.parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        """The whole answer is there."""
        self.complete = self.head


async def _pass_on(request: Request, inside: socket.socket, head: bytes) -> Response | Stream:
    loop = asyncio.get_running_loop()
    sending = asyncio.ensure_future(_send(request, inside, head))
    answer = _Answer()
    try:
        received = 0
        while not answer.head:
            piece = await loop.sock_recv(inside, _PIECE)
            received += len(piece)
            answer.parser.feed_data(piece)
            if not piece or received > _HEAD_LIMIT and not answer.head:
                raise ApiError(502, "the program inside did not answer in HTTP")
    except (OSError, httptools.HttpParserError):
        await _let_go(sending, inside)
        raise ApiError(502, "the program inside did not answer in HTTP") from None
    except BaseException:
        await _let_go(sending, inside)
        raise
    connection = ",".join(value for name, value in answer.headers if name == "connection")
    dropped = _HOP | set(connection.lower().replace(",", " ").split())
    kept: dict[str, str] = {}
    for name, value in answer.headers:
        if name not in dropped:
            # Headers are a mapping here; cookies are the one field that cannot be joined.
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
    status = answer.parser.get_status_code()
    no_body = request.method == "HEAD" or status in (204, 304)
    if no_body:
        await _let_go(sending, inside)
        return Response(status, b"", kept)
    return Stream(_body(answer, inside, sending), status, kept)


async def _body(
    answer: _Answer, inside: socket.socket, sending: asyncio.Future[None]
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    try:
        while True:
            while answer.pieces:
                yield answer.pieces.popleft()
            if answer.complete:
                return
            piece = await loop.sock_recv(inside, _PIECE)
            if not piece:
                if not answer.parser.should_keep_alive():  # its end is the connection's
                    return
                raise ApiError(502, "the program inside broke off its answer")
            answer.parser.feed_data(piece)
    finally:
        await _let_go(sending, inside)


async def _send(request: Request, inside: socket.socket, head: bytes) -> None:
    loop = asyncio.get_running_loop()
    chunked = "transfer-encoding" in request.headers
    with suppress(OSError, Gone):
        await loop.sock_sendall(inside, head)
        async for piece in request.pieces():
            await loop.sock_sendall(inside, b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            await loop.sock_sendall(inside, b"0\r\n\r\n")


async def _let_go(sending: asyncio.Future[None], inside: socket.socket) -> None:
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    inside.close()


async def _tunnel(request: Request, inside: socket.socket, head: bytes) -> Response:
    """Give the client's connection to the program inside, until either of them closes it."""
    loop, connection = asyncio.get_running_loop(), request.connection
    waiting: deque[bytes] = deque([head])
    wake = asyncio.Event()
    wake.set()

    def take(data: bytes) -> None:
        waiting.append(data)
        wake.set()
        if sum(map(len, waiting)) > _TUNNEL_BUFFER:
            transport.pause_reading()

    transport: asyncio.Transport = connection.transport
    connection.take_over(take)

    async def inward() -> None:
        while True:
            await wake.wait()
            wake.clear()
            while waiting:
                await loop.sock_sendall(inside, waiting.popleft())
            transport.resume_reading()

    async def outward() -> None:
        while piece := await loop.sock_recv(inside, _PIECE):
            transport.write(piece)
            while transport.get_write_buffer_size() > _TUNNEL_BUFFER and not transport.is_closing():
                await asyncio.sleep(0.01)

    tasks = [asyncio.ensure_future(part()) for part in (inward, outward, connection.ended.wait)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        inside.close()
        transport.close()
    await connection.ended.wait()
    raise Gone

