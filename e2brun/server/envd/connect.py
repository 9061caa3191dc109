"""The Connect protocol over plain HTTP/1.1, JSON codec: what both of E2B's SDKs speak.

Handlers take messages, return dictionaries in proto-JSON form and raise RpcError. A stream's status
line and every message leave at once. What else a handler raises (a sandbox that died) passes
through: the application drops the connection.
"""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

from e2brun.sandbox.local.template_setup import USERS
from e2brun.server.envd.protojson import Message, RpcError
from e2brun.server.http.messages import ApiError, Gone, Request, Response, Stream, json_response
from e2brun.values import MAX_VALUES, is_table, values_in

Wire = dict[str, Any]  # a message on its way out
UnaryHandler = Callable[[Message], Awaitable[Wire]]
ServerStreamHandler = Callable[[Message], AsyncIterator[Wire]]
ClientStreamHandler = Callable[[AsyncIterator[Message]], Awaitable[Wire]]

MESSAGE_LIMIT = 256 * 1024 * 1024  # a caller's whole stdin may be one message, as base64
# Of one that is packed, or not all ASCII: a sender's byte may be a thousand of ours, or four.
_COSTLY_LIMIT = 16 * 1024 * 1024
_COMPRESSED, _END = 1, 2
_KEEPALIVE_SECONDS = 90.0
_AT_ONCE = 0.05  # seconds; most calls take no longer, and nobody is watched for them
_STATUS = {
    "canceled": 499, "unknown": 500, "invalid_argument": 400, "deadline_exceeded": 504,
    "not_found": 404, "already_exists": 409, "permission_denied": 403,
    "resource_exhausted": 429, "failed_precondition": 400, "aborted": 409,
    "out_of_range": 400, "unimplemented": 501, "internal": 500, "unavailable": 503,
    "data_loss": 500, "unauthenticated": 401,
}  # fmt: skip


class _Expired(RpcError):
    """The caller's deadline has passed."""

    def __init__(self) -> None:
        super().__init__("deadline_exceeded", "the deadline has passed")


class _TooLong(RpcError):
    """One message is longer than any may be."""

    def __init__(self) -> None:
        super().__init__("resource_exhausted", "the message is too long")


async def unary(request: Request, handler: UnaryHandler) -> Response:
    """One message in, one out."""
    _require(request, "application/json")
    try:
        async with _until(deadline(request)):
            return json_response(await handler(await _sent(request)))
    except RpcError as error:
        return json_response(error.body(), status=_STATUS.get(error.code, 500))


async def _sent(request: Request) -> Message:
    """The message of a call; the bytes that it was are not kept beside it."""
    body = await request.body(MESSAGE_LIMIT, _TooLong())
    return _parse(_inflated(body, request, "content-encoding"))


async def server_stream(
    request: Request,
    handler: ServerStreamHandler,
    *,
    after_deadline: Callable[[], object] = lambda: None,
) -> Stream:
    """One message in, any number out. At the caller's deadline the handler is cancelled and the
    client told; `after_deadline` is called once that is on its way."""
    _require(request, "application/connect+json")
    try:
        message = await _only(request)
    except RpcError as error:
        return _stream(_failed(error))
    return _stream(_enveloped(handler(message), deadline(request), after_deadline))


async def client_stream(request: Request, handler: ClientStreamHandler) -> Stream:
    """Any number of messages in, each as it comes, and one out; the answer may come early."""
    _require(request, "application/connect+json")

    async def answer() -> AsyncGenerator[Wire]:
        async with aclosing(_messages(request)) as messages:
            yield await handler(messages)

    return _stream(_enveloped(answer(), deadline(request), lambda: None))


async def unless_gone(request: Request, call: Coroutine[Any, Any, None]) -> None:
    """Wait for `call`, which is cancelled when the client goes. Raises Gone then."""
    task = asyncio.ensure_future(call)
    try:
        done, _ = await asyncio.wait((task,), timeout=_AT_ONCE)
        if not done:
            watch = asyncio.ensure_future(request.disconnected())
            try:
                await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
            finally:
                watch.cancel()
        if not task.done():
            raise Gone
        task.result()
    finally:
        task.cancel()


def acting_user(request: Request, default: str) -> str:
    """The user of HTTP basic authentication (the password does not matter), or `default`. Raises
    RpcError unauthenticated for one that is not in USERS."""
    kind, _, credentials = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return default
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True).decode()
    except ValueError:  # no base64, no ASCII to begin with, no UTF-8 in it
        raise RpcError("unauthenticated", "malformed credentials") from None
    user = decoded.partition(":")[0] or default
    if user not in USERS:
        raise RpcError("unauthenticated", f"invalid username: '{user[:64]}'")
    return user


def deadline(request: Request) -> float | None:
    """When the caller stops waiting, on the event loop's clock; None: never."""
    value = request.headers.get("connect-timeout-ms", "").strip()
    if not value.isdecimal() or len(value) > 10 or int(value) == 0:
        return None
    return asyncio.get_running_loop().time() + int(value) / 1000


def keepalive(request: Request) -> float:
    """Seconds between signs of life: those that the client names, or the usual ones."""
    named = request.headers.get("keepalive-ping-interval", "").strip()
    return float(named) if named.isdecimal() and int(named[:9]) > 0 else _KEEPALIVE_SECONDS


def _require(request: Request, content_type: str) -> None:
    if request.method != "POST":
        raise ApiError(405, "method not allowed", headers={"allow": "POST"})
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != content_type:
        raise ApiError(415, f"unsupported content type '{given[:64]}': use {content_type}")


def _stream(body: AsyncIterator[bytes]) -> Stream:
    return Stream(body, headers={"content-type": "application/connect+json"})


async def _enveloped(
    events: AsyncIterator[Wire], end: float | None, after_deadline: Callable[[], object]
) -> AsyncGenerator[bytes]:
    expired = False
    try:
        while (event := await _next(events, end)) is not None:
            yield _envelope(event, 0)
        yield _envelope({}, _END)
    except RpcError as error:
        expired = isinstance(error, _Expired)
        yield _envelope({"error": error.body()}, _END)
    finally:
        if expired:
            after_deadline()
        if isinstance(events, AsyncGenerator):
            await events.aclose()


async def _next(events: AsyncIterator[Wire], end: float | None) -> Wire | None:
    """The next event; None at their end. Raises _Expired, also when there are events to come."""
    if end is not None and asyncio.get_running_loop().time() >= end:
        raise _Expired
    async with _until(end):
        return await anext(events, None)


@asynccontextmanager
async def _until(end: float | None) -> AsyncGenerator[None]:
    """Raises _Expired when it comes to that."""
    limit = asyncio.timeout_at(end)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise _Expired from None
        raise


async def _failed(error: RpcError) -> AsyncGenerator[bytes]:
    yield _envelope({"error": error.body()}, _END)


def _envelope(message: object, flags: int) -> bytes:
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    return bytes((flags,)) + len(body).to_bytes(4, "big") + body


async def _only(request: Request) -> Message:
    only: Message | None = None
    async with aclosing(_messages(request)) as messages:
        async for message in messages:
            if only is not None:  # more may come without end
                break
            only = message
        else:
            if only is not None:
                return only
    raise RpcError("invalid_argument", "expected exactly one message")


async def _messages(request: Request) -> AsyncGenerator[Message]:
    """The messages of a stream, each as soon as it is whole."""
    buffer = bytearray()
    try:
        async for piece in request.pieces():
            request.keep(len(piece))
            buffer += piece
            while (envelope := _cut(buffer)) is not None:
                flags, body = envelope
                if flags & _COMPRESSED:
                    body = _inflated(body, request, "connect-content-encoding")
                if not flags & _END:
                    yield _parse(body)
                request.let_go()
                request.keep(len(buffer))
    except Gone:
        raise RpcError("canceled", "the client went away") from None
    if buffer:
        raise RpcError("invalid_argument", "the stream ends within a message")


def _cut(buffer: bytearray) -> tuple[int, bytes] | None:
    """Flags and body of the envelope at the front, which is taken off; None until it is whole."""
    length = int.from_bytes(buffer[1:5], "big")
    if len(buffer) >= 5 and length > MESSAGE_LIMIT:
        raise _TooLong
    if len(buffer) < 5 + length or len(buffer) < 5:
        return None
    flags, body = buffer[0], bytes(buffer[5 : 5 + length])
    del buffer[: 5 + length]
    return flags, body


def _inflated(body: bytes, request: Request, header: str) -> bytes:
    encoding = request.headers.get(header, "identity").strip().lower()
    if encoding in ("", "identity") or not body:
        return body
    if encoding != "gzip":
        raise RpcError("unimplemented", f"unknown compression '{encoding[:64]}': use gzip")
    expand = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        inflated = expand.decompress(body, _COSTLY_LIMIT)
    except zlib.error:
        raise RpcError("invalid_argument", "the message is not valid gzip") from None
    if expand.unconsumed_tail:
        raise _TooLong
    request.keep(len(inflated))
    return inflated


def _parse(body: bytes) -> Message:
    if len(body) > _COSTLY_LIMIT and (b"\\u" in body or not body.isascii()):
        raise _TooLong
    if values_in(body, MAX_VALUES) > MAX_VALUES:
        raise RpcError("resource_exhausted", f"the message holds more than {MAX_VALUES} values")
    try:
        message = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise RpcError("invalid_argument", "the message is not valid JSON") from None
    if not is_table(message):
        raise RpcError("invalid_argument", "the message must be a JSON object")
    return Message(message)
