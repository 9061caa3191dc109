"""One client's connection: uvicorn's, with what E2B's clients need beyond it.

- It can be reset in mid-answer: the one end that no SDK takes for a finished answer
  (E2B_PROTOCOL 3.7).
- It can be handed over to a port inside a sandbox (WebSocket and other upgrades).
- What cannot be parsed, is too long or comes too slowly is answered in E2B's error shape, unless
  an answer to something else is on its way; and it is ended so that the answer arrives.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

log = logging.getLogger("e2brun.server")

_EARLY_LIMIT = 256 * 1024  # bytes a client may send before its upgrade is answered
_HEAD_LIMIT = 128 * 1024  # bytes of a request line and headers
_IDLE_LIMIT = 512 * 1024  # bytes that bring neither a request nor a piece of a body
_PIPELINE_LIMIT = 1000  # requests that wait for the answers to others
_HEADER_SECONDS = 30.0  # for a client to send the head of its first request
_LINGER_SECONDS = 2.0  # for a client to take in why it is refused
_TLS_HELLO = b"\x16\x03"  # a handshake record, RFC 8446 5.1
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, 0 seconds: close(2) sends RST


@functools.cache
def _told_of_https() -> None:
    log.warning(
        "a client speaks TLS here: sandboxes' https names, which E2B's SDKs before 2.9 need for "
        "run_code, are there with `e2brun serve --https`"
    )


class _TooMuch(Exception):
    """Raised through the parser."""


class Connection(HttpToolsProtocol):
    """One client's connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._tunnel: Callable[[bytes], None] | None = None
        self._early = bytearray()  # came after a request for an upgrade
        self._asked = self._upgrading = self._refused = False
        self._in_body = False  # of a request that is being parsed
        self._muted = False  # the parser sees that request's head for the second time
        self._head_bytes = self._idle_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._active: RequestResponseCycle | None = None  # the request that is being answered
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(_HEADER_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._be_patient()
        self._unset_keepalive_if_required()
        self.ended.set()
        self.pipeline.clear()
        super().connection_lost(exc)
        if self._active is not None and not self._active.response_complete:
            # uvicorn only tells the last request, which may have been in the pipeline.
            self._active.disconnected = True
            self._active.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of what came after an upgrade."""
        if self._refused:
            return
        if self._tunnel is not None:
            self._tunnel(data)
        elif self._upgrading:
            self._keep(data)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        if self.ended.is_set():  # and the parser is gone
            return
        self._idle_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._came_to_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if data.startswith(_TLS_HELLO):
                _told_of_https()
            if isinstance(error.__context__, _TooMuch):
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too long")
            else:
                self._refuse(HTTPStatus.BAD_REQUEST, "this is not HTTP")
        else:
            if self._idle_bytes > _IDLE_LIMIT:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too long")

    def _came_to_upgrade(self, rest: bytes) -> None:
        """The parser takes what follows for another protocol, even the request's own body."""
        if self._may_upgrade():
            self._upgrading = True
            self._keep(rest)
            return
        head = [b"%b: %b\r\n" % field for field in self.headers if field[0] in _FRAMING]
        self._renew_parser()
        self._muted = True
        try:
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(head))
        except httptools.HttpParserError:  # only what frames a body is checked this late
            self._refuse(HTTPStatus.BAD_REQUEST, "this is not HTTP")
            return
        finally:
            self._muted = False
        if rest:
            self._parse(rest)

    def _may_upgrade(self) -> bool:
        """Whether it could: without a body, and not to HTTP/2, which nobody here speaks."""
        upgrades = [value.lower() for name, value in self.headers if name == b"upgrade"]
        framed = [value for name, value in self.headers if name in _FRAMING and value != b"0"]
        return not framed and b"h2c" not in b",".join(upgrades)

    def _renew_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _keep(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > _EARLY_LIMIT:
            self.flow.pause_reading()

    def on_message_begin(self) -> None:
        """A request begins: tell the application whose connection it is on."""
        if self._muted:
            return
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._head_bytes, self._in_body = 0, False
        if self._patience is None:
            self._patience = self.loop.call_later(_HEADER_SECONDS, self._too_slow)
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {"e2brun.connection": self}

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        if not self._muted:
            self._count(len(url))
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; behind a chunked body it is a trailer, and nobody here wants those."""
        if not (self._in_body or self._muted):
            self._count(len(name) + len(value) + 4)
            super().on_header(name, value)

    def _count(self, length: int) -> None:
        self._head_bytes += length
        if self._head_bytes > _HEAD_LIMIT:
            raise _TooMuch

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        if self._muted:
            return
        self._be_patient()
        self._idle_bytes = 0
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise ValueError  # who is in front of us may have looked at the other
        if len(self.pipeline) >= _PIPELINE_LIMIT:
            raise _TooMuch
        super().on_headers_complete()
        self._asked = self._in_body = True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = cycle

        async def answered(scope: Any, receive: Any, send: Any) -> None:
            until_close = False

            async def unless_gone(message: Any) -> None:
                nonlocal until_close
                # uvicorn learns it a moment later, and uvloop minds being written to then.
                cycle.disconnected = cycle.disconnected or self.transport.is_closing()
                if scope["http_version"] == "1.0" and message["type"] == "http.response.start":
                    # HTTP/1.0 has no chunks, which uvicorn sends all the same: the end must do.
                    until_close = all(name != b"content-length" for name, _ in message["headers"])
                    if until_close:
                        cycle.chunked_encoding = False
                elif until_close:
                    cycle.expected_content_length = len(message.get("body", b""))
                await send(message)

            await app(scope, receive, unless_gone)
            # Reset in mid-answer: not one that was forgotten. Over TLS uvicorn learns it later.
            cycle.disconnected = cycle.disconnected or self.transport.is_closing()

        super()._start_asgi_task(cycle, answered)

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        if not self.cycle.body:  # b"" and a piece are that piece; uvicorn's bytearray copies twice
            self.cycle.body = b""  # type: ignore[assignment]
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and not self._may_upgrade():
            return  # so the parser thinks
        super().on_message_complete()
        self._in_body = False

    def on_response_complete(self) -> None:
        super().on_response_complete()  # the next request that waits, if there is one
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        if self.expect_100_continue and self.cycle.more_body:
            # Refused without a 100: the client may send the body or not, who knows.
            self.transport.close()
        elif self._upgrading and self._tunnel is None:
            self._upgrading, early = False, bytes(self._early)
            self._early.clear()
            self._renew_parser()
            self.flow.resume_reading()
            if early:
                self._parse(early)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._patience = None
        if self._head_bytes:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request comes too slowly")
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """No more of this: say why where that cannot be taken for part of another answer."""
        if self.transport.is_closing():
            return
        self._refused = True
        self._be_patient()
        self._unset_keepalive_if_required()
        answering = self._asked and not self.cycle.response_complete
        if answering and (not self._in_body or self.pipeline or self.cycle.response_started):
            self.transport.close()
            return
        body = json.dumps({"code": int(status), "message": message}).encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%b" % (status, status.phrase.encode(), len(body), body)
        )
        if answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        # To close while more comes in would be a reset, which overtakes the answer.
        with suppress(OSError, RuntimeError):
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_SECONDS, self.close)

    def take_over(self, receiver: Callable[[bytes], None]) -> None:
        """From now on give every byte the client sends to `receiver`. `ended` is set when the
        client has gone."""
        self._tunnel = receiver
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self._early:
            early = bytes(self._early)
            self._early.clear()
            receiver(early)

    async def send(self, data: bytes) -> None:
        """Bytes to the client, at its pace."""
        if not self.transport.is_closing():
            self.transport.write(data)
            await self.flow.drain()

    def hold(self) -> None:
        """Take nothing more from the client for now."""
        self.flow.pause_reading()

    def go_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def close(self) -> None:
        """End it when everything has been sent."""
        if not self.transport.is_closing():
            self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def reset(self) -> None:
        """Cut it off with a TCP reset."""
        if self.ended.is_set():
            return
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self.transport.is_closing():
            with suppress(OSError), socket.socket(fileno=connection.dup().detach()) as copy:
                copy.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
