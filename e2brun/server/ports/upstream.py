"""One HTTP exchange with a program inside a sandbox.

The program's answer may be anything. It is parsed strictly, and what comes out of the parser is
all that goes on: the framing towards the client is made anew, so that no byte of an answer can
be taken for another answer.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress

import httptools

from e2brun.server.http.messages import ApiError, Gone, Request
from e2brun.server.ports.tls import Connected

_PIECE = 64 * 1024
_HEAD_LIMIT = 256 * 1024  # bytes of an answer that bring no body: its head, its trailers
_EXPECT_SECONDS = 1.0  # that a program may think about `Expect: 100-continue`; as curl waits
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_NOT_IN_VALUE = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_NOT_HTTP = "the program inside did not answer in HTTP"


class UpstreamAnswer:
    """An answer as its parser sees it (httptools' callbacks)."""

    def __init__(self) -> None:
        self.status = 0  # 0: its head is not there yet
        self.headers: list[tuple[str, str]] = []  # names in lower case
        self.pieces: deque[bytes] = deque()
        self.rest = b""  # what came after a 101: no HTTP any more
        self.complete = self.broken = False
        self.headed = asyncio.Event()  # also when it is broken before
        self.go_on = asyncio.Event()  # 100, or no need to wait for it
        self._parser = httptools.HttpResponseParser(self)
        self._idle = 0  # bytes since the last piece of body

    def feed(self, data: bytes) -> None:
        """More of it; b"" is its end. Never raises: `broken` says that it is none."""
        if not data:
            self._end()
        elif not (self.complete or self.broken):
            self._idle += len(data)
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self.rest = data[upgrade.args[0] :]
            except httptools.HttpParserError:
                self.broken = not self.complete
            if self._idle > _HEAD_LIMIT:
                self.broken = not self.complete
        if self.broken or self.status:
            self.headed.set()
            self.go_on.set()

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def _end(self) -> None:
        if self.complete:
            return
        framed = self.values("content-length") or self.values("transfer-encoding")
        self.complete = bool(self.status) and not framed and not self.broken
        self.broken = not self.complete

    def on_message_begin(self) -> None:
        """An interim answer (100) is followed by the real one."""
        if not self.status:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; after the head it is a trailer."""
        if not self.status:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if not self.status and (status >= 200 or status == 101):
            self.status = status
        elif status == 100:
            self.go_on.set()

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self._idle = 0
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.complete = self.status != 0

    @property
    def sound(self) -> bool:
        """Whether its head can be passed on."""
        return (
            not (self.broken and not self.status)
            and (200 <= self.status <= 599 or self.status == 101)
            and all(_NAME.fullmatch(n) and not _NOT_IN_VALUE.search(v) for n, v in self.headers)
            and all(value.lower() == "chunked" for value in self.values("transfer-encoding"))
        )


class Upstream:
    """A connection into a sandbox, for one request; `close` it."""

    def __init__(self, connection: Connected, request: Request) -> None:
        self.connection, self._request = connection, request
        self.answer = UpstreamAnswer()
        self._sending: asyncio.Future[None] | None = None

    async def ask(self, head: bytes) -> UpstreamAnswer:
        """Send the request; wait for the answer's head. Raises ApiError 502; Gone when the
        client leaves before."""
        sending = self._sending = asyncio.ensure_future(self._send(head))
        reading = asyncio.ensure_future(self._read_head())
        try:
            await asyncio.wait((sending, reading), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                sending.result()
                raise Gone
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if not self.answer.sound:
            raise ApiError(502, _NOT_HTTP)
        return self.answer

    async def read(self) -> None:
        try:
            piece = await self.connection.receive(_PIECE)
        except OSError:
            self.answer.broken = not self.answer.complete
            piece = b""
        self.answer.feed(piece)

    async def close(self) -> None:
        await self.stop_sending()
        self.connection.close()

    async def stop_sending(self) -> None:
        """The rest of the request, or what is said in another protocol, is not ours to send."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _read_head(self) -> None:
        while not self.answer.headed.is_set():
            await self.read()

    async def _send(self, head: bytes) -> None:
        """Send the request, then watch the client. Returns when it has gone."""
        request = self._request
        with suppress(OSError, Gone):  # a program that reads no more may still answer
            await self.connection.send(head)
            if await self._wanted():
                await self._send_body()
        if not request.ended and "expect" in request.headers and request.connection is not None:
            # To ask for the rest of its body would be to tell the client to go on.
            await request.connection.ended.wait()
            self.connection.shut_down()
            return
        await request.disconnected()

    async def _wanted(self) -> bool:
        """Whether the program wants the body; it may refuse one that is only announced."""
        if self._request.headers.get("expect", "").lower() != "100-continue":
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(_EXPECT_SECONDS):
                await self.answer.go_on.wait()
        return not self.answer.headed.is_set()

    async def _send_body(self) -> None:
        chunked = "transfer-encoding" in self._request.headers
        async for piece in self._request.pieces():
            data = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            await self.connection.send(data)
        if chunked:
            await self.connection.send(b"0\r\n\r\n")


class Body(AsyncIterator[bytes]):
    """An answer's body as it comes; no generator, whose `aclose` does nothing before its start."""

    def __init__(self, upstream: Upstream, *, empty: bool) -> None:
        self._upstream, self._empty = upstream, empty

    async def __anext__(self) -> bytes:
        """The next piece. Raises ApiError when there will be none though there should."""
        answer = self._upstream.answer
        while not answer.pieces and not self._empty and not answer.complete:
            if answer.broken:
                raise ApiError(502, "the program inside broke off its answer")
            await self._upstream.read()
        if self._empty or not answer.pieces:
            raise StopAsyncIteration
        return answer.pieces.popleft()

    async def aclose(self) -> None:
        """The client has it all, or has gone."""
        await self._upstream.close()
