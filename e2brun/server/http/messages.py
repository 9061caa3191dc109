"""Requests and responses of the service: ASGI with names, nothing more.

Every error leaves as E2B's clients expect it: JSON {"code": <HTTP status>, "message": str}
(E2B_PROTOCOL 2.1; the generated clients die on anything else).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast
from urllib.parse import parse_qsl

from e2brun.values import MAX_VALUES, refuse_constant, values_in

Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Mapping[str, str]

BODY_LIMIT = 8 * 1024 * 1024  # of a JSON body; files and RPC messages have limits of their own
KEPT_LIMIT = 512 * 1024 * 1024  # bytes of bodies that are kept for all requests together
_SMALL = 64 * 1024  # bytes of one that are kept whatever others have


class ApiError(Exception):
    """Ends a request with a JSON error. `headers` go out with it, `more` into its body."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Headers | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self) -> Response:
        """What the client is sent."""
        body = {"code": self.status, "message": self.message, **self.more}
        return json_response(body, status=self.status, headers=self.headers)


class Refused(ApiError):
    """One that stays, which clients are told: they would otherwise ask four times."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(status, message, headers={"should-retry": "false", **headers})


class Gone(Exception):
    """The client has hung up; nobody is left to answer."""

    status = 0  # that it was sent all the same


class HandedOver(Gone):
    """The connection was given to a program inside, and is over."""

    status = 101


@dataclass(slots=True)
class Response:
    """A whole answer."""

    status: int = 200
    body: bytes = b""
    headers: Headers = field(default_factory=dict[str, str])


@dataclass(slots=True)
class Stream:
    """An answer in pieces, each flushed at once. `body` is closed (aclose) when the client goes."""

    body: AsyncIterator[bytes]
    status: int = 200
    headers: Headers = field(default_factory=dict[str, str])
    more_headers: tuple[tuple[str, str], ...] = ()  # one name may come many times: Set-Cookie


def json_response(value: object, *, status: int = 200, headers: Headers | None = None) -> Response:
    """`value` as ASCII JSON."""
    body = json.dumps(value, separators=(",", ":")).encode("ascii")
    return Response(status, body, {"content-type": "application/json", **(headers or {})})


class Request:
    """One HTTP request. Header names are lower-case; of one sent twice the last counts."""

    kept: ClassVar[Counter[str]] = Counter()  # bytes of bodies in memory, by `owner`

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.scheme: str = scope.get("scheme", "http")
        # Not decoded: a snapshot's id is one segment with an escaped `/` in it.
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        self.raw_path = raw.decode("latin-1")
        self.raw_headers: list[tuple[bytes, bytes]] = list(scope["headers"])  # every one
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers
        }
        self.query_string: str = scope["query_string"].decode("latin-1")
        # What the HTTP server offers beyond ASGI (`connection.Connection`); None: nothing.
        self.connection: Any = scope.get("extensions", {}).get("e2brun.connection")
        self._receive = receive
        self.owner = ""  # the sandbox that it is for; "" for none
        self.ended = False  # whether the body has been read to its end
        self._kept = 0

    @property
    def query(self) -> dict[str, str]:
        """Query parameters, decoded once; of one given twice the last counts."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True, errors="surrogateescape"))

    @property
    def sends_body(self) -> bool:
        """Whether the client announced a body."""
        return "transfer-encoding" in self.headers or (
            self.headers.get("content-length", "0") != "0"
        )

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Gone when the client leaves before its end."""
        while not self.ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            self.ended = not message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    def keep(self, size: int) -> None:
        """So many bytes more of its body are in memory. Raises ApiError 503 where those of its
        owner would be more than two thirds of what others leave: who comes next has a third."""
        own = self.kept[self.owner]
        left = KEPT_LIMIT - (self.kept.total() - own)
        if self._kept + size > _SMALL and own + size > left * 2 // 3:
            raise ApiError(503, "the service is being sent too much at once: try again later")
        self._kept += size
        self.kept[self.owner] += size

    def let_go(self) -> None:
        """Nothing of it is, as when it is over."""
        self.kept[self.owner] -= self._kept
        self._kept = 0
        if not self.kept[self.owner]:
            del self.kept[self.owner]

    async def body(self, limit: int = BODY_LIMIT, too_long: Exception | None = None) -> bytes:
        """The whole body. Raises ApiError 413, or what is given, past `limit` bytes."""
        collected = bytearray()
        async for piece in self.pieces():
            self.keep(len(piece))
            collected += piece
            if len(collected) > limit:
                raise too_long or ApiError(413, f"the body is longer than {limit} bytes")
        return bytes(collected)

    async def json(self, limit: int = BODY_LIMIT) -> dict[str, Any]:
        """The body as a JSON object; {} when there is none. Raises ApiError 400."""
        raw = await self.body(limit)
        if not raw:
            return {}
        if values_in(raw, MAX_VALUES) > MAX_VALUES:
            raise ApiError(413, f"the body holds more than {MAX_VALUES} values")
        try:
            value = json.loads(raw, parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            raise ApiError(400, "the body is not valid JSON") from None
        if not isinstance(value, dict):
            raise ApiError(400, "the body must be a JSON object")
        return cast("dict[str, Any]", value)

    async def disconnected(self) -> None:
        """Returns when the client has gone; only after the body has been read."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return
            self.ended = not message.get("more_body", False)
