"""The Connect protocol by its bytes, without a server."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2brun.server.envd import connect
from e2brun.server.envd.protojson import Message, RpcError
from e2brun.server.http import messages
from e2brun.server.http.bodies import decoded
from e2brun.server.http.messages import ApiError, Request, Response, Stream


def request(
    *pieces: bytes, streaming: bool = True, headers: dict[str, str] | None = None
) -> Request:
    """A POST whose body comes in these pieces, and whose client then stays."""
    kind = "application/connect+json" if streaming else "application/json"
    given = {"content-type": kind, **(headers or {})}
    rest = list(pieces) or [b""]

    async def receive() -> dict[str, Any]:
        if not rest:
            await asyncio.Event().wait()
        piece = rest.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(rest)}

    scope = {
        "type": "http", "method": "POST", "path": "/x", "raw_path": b"/x", "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
    }  # fmt: skip
    return Request(scope, receive)


def envelope(message: object, flags: int = 0) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return bytes([flags]) + len(body).to_bytes(4, "big") + body


async def received(stream: Stream) -> list[tuple[int, Any]]:
    data = b"".join([piece async for piece in stream.body])
    messages: list[tuple[int, Any]] = []
    while data:
        length = int.from_bytes(data[1:5], "big")
        messages.append((data[0], json.loads(data[5 : 5 + length])))
        data = data[5 + length :]
    return messages


async def counting(message: Message) -> AsyncIterator[dict[str, Any]]:
    for number in range(message.number("to")):
        yield {"number": number}
    if message.flag("fail"):
        raise RpcError("not_found", "no more")


def streamed(*pieces: bytes, headers: dict[str, str] | None = None) -> list[tuple[int, Any]]:
    async def go() -> list[tuple[int, Any]]:
        stream = await connect.server_stream(request(*pieces, headers=headers), counting)
        assert stream.status == 200
        return await received(stream)

    return asyncio.run(go())


def test_a_message_may_come_byte_by_byte() -> None:
    pieces = [bytes([byte]) for byte in envelope({"to": 1})]
    assert streamed(*pieces) == [(0, {"number": 0}), (2, {})]


def test_an_error_is_the_end_message_of_a_stream_with_status_200() -> None:
    end = {"error": {"code": "not_found", "message": "no more"}}
    assert streamed(envelope({"to": 1, "fail": True})) == [(0, {"number": 0}), (2, end)]
    assert streamed(envelope({"to": 0, "fail": True})) == [(2, end)]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\0", b"\0\0\0\0\5{}", envelope(b"{"), envelope([]), envelope({}) * 2,
        envelope(b"[" * 100_000), envelope(b"\xff"),
    ],
    ids=["nothing", "half a head", "half a body", "no JSON", "a list", "two", "deep", "no UTF-8"],
)  # fmt: skip
def test_a_malformed_request_is_an_invalid_argument(body: bytes) -> None:
    [(flags, end)] = streamed(body)
    assert (flags, end["error"]["code"]) == (2, "invalid_argument")


def test_a_message_that_claims_to_be_huge_is_refused_before_it_comes() -> None:
    [(_, end)] = streamed(b"\0\xff\xff\xff\xff")
    assert end["error"]["code"] == "resource_exhausted"


def test_compressed_messages_are_read() -> None:
    body = envelope(gzip.compress(b'{"to": 1}'), flags=1)
    headers = {"connect-content-encoding": "gzip"}
    assert streamed(body, headers=headers) == [(0, {"number": 0}), (2, {})]


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A thousandth of what it holds."""
    return gzip.compress(b" " * (connect.MESSAGE_LIMIT + 1000), 1)


def test_a_bomb_of_gzip_is_refused_in_a_stream(bomb: bytes) -> None:
    headers = {"connect-content-encoding": "gzip"}
    [(_, end)] = streamed(envelope(bomb, flags=1), headers=headers)
    assert end["error"] == {"code": "resource_exhausted", "message": "the message is too long"}


def test_a_bomb_of_gzip_is_refused_in_a_call(bomb: bytes) -> None:
    async def answer(_message: Message) -> dict[str, Any]:
        return {}

    header = {"content-encoding": "gzip"}
    call = connect.unary(request(bomb, streaming=False, headers=header), answer)
    assert asyncio.run(call).status == 429


@pytest.mark.parametrize("wide", ["\N{GRINNING FACE}", r"\ud83d\ude00"])
def test_one_character_makes_no_long_message_four_times_as_long(wide: str) -> None:
    text = b'{"to": 1, "x": "%b%b"}' % (wide.encode(), b"a" * (17 << 20))
    [(_, end)] = streamed(envelope(text))
    assert end["error"]["code"] == "resource_exhausted"
    assert streamed(envelope(text.replace(wide.encode(), b""))) == [(0, {"number": 0}), (2, {})]


def test_words_that_the_kernel_would_not_take_are_told_to_be_too_long() -> None:
    with pytest.raises(RpcError, match=r"^path is too long$"):
        Message({"path": "x" * 2_000_000}).text("path")


@pytest.mark.parametrize("text", ["\xe9", "\xe9" * 4, "a", "a===="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(RpcError, match=r"^stdin must be base64$"):
        Message({"stdin": text}).blob("stdin")


def test_a_call_that_is_longer_than_a_message_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connect, "MESSAGE_LIMIT", 1000)

    async def answer(_message: Message) -> dict[str, Any]:
        return {}

    asked = request(b"{", *[b" " * 600] * 5, b"}", streaming=False)
    assert asyncio.run(connect.unary(asked, answer)).status == 429
    assert not asked.ended


def test_of_a_bomb_of_gzip_that_is_uploaded_no_piece_is_large() -> None:
    packed = gzip.compress(bytes(10_000_000))

    async def go() -> list[int]:
        asked = request(packed, headers={"content-encoding": "gzip"})
        return [len(piece) async for piece in decoded(asked)]

    lengths = asyncio.run(go())
    assert sum(lengths) == 10_000_000
    assert max(lengths) <= 256 * 1024


def test_of_messages_without_end_no_more_than_two_are_read() -> None:
    asked = request(*[envelope({"to": 1})] * 1000)
    stream = asyncio.run(connect.server_stream(asked, counting))
    [(_, end)] = asyncio.run(received(stream))
    assert end["error"]["code"] == "invalid_argument"
    assert not asked.ended


_MANY = b'{"to": 1, "x": [' + b"[]," * 1_000_000 + b"0]}"


def test_json_of_more_values_than_anybody_needs_is_not_parsed() -> None:
    """An empty list is 3 bytes of it, and 56 of ours."""
    [(_, end)] = streamed(envelope(_MANY))
    assert end["error"]["code"] == "resource_exhausted"
    with pytest.raises(ApiError, match="values") as refused:
        asyncio.run(request(_MANY, streaming=False).json())
    assert refused.value.status == 413


def test_what_stands_in_a_string_is_one_value() -> None:
    commas = json.dumps({"to": 1, "x": ",[" * 1_000_000}).encode()
    assert streamed(envelope(commas)) == [(0, {"number": 0}), (2, {})]
    assert asyncio.run(request(commas, streaming=False).json())["to"] == 1


def test_the_deadline_is_told_before_what_it_ends_is_ended() -> None:
    order: list[str] = []

    async def silent(_message: Message) -> AsyncIterator[dict[str, Any]]:
        yield {"number": 0}
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cancelled")

    async def go() -> None:
        stream = await connect.server_stream(
            request(envelope({}), headers={"connect-timeout-ms": "50"}),
            silent,
            after_deadline=lambda: order.append("killed"),
        )
        async for piece in stream.body:
            order.extend(["told"] if b"deadline_exceeded" in piece else [])

    asyncio.run(go())
    assert order == ["cancelled", "told", "killed"]


@pytest.mark.parametrize("packed", [False, True])
def test_what_all_clients_send_together_is_bounded(
    monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(messages, "KEPT_LIMIT", 1_500_000)
    body = json.dumps({"path": "x" * 700_000}).encode()
    headers = {"content-encoding": "gzip"} if packed else {}
    sent = gzip.compress(body) if packed else body

    async def answer(_message: Message) -> dict[str, Any]:
        return {}

    async def go() -> None:
        first = request(sent, streaming=False, headers=headers)
        await connect.unary(first, answer)
        second = request(sent, streaming=False, headers=headers)
        with pytest.raises(ApiError, match="too much at once"):
            await connect.unary(second, answer)
        await connect.unary(request(b"{}", streaming=False), answer)  # small ones are always kept
        first.let_go()  # as the application does
        second.let_go()
        await connect.unary(request(sent, streaming=False, headers=headers), answer)

    asyncio.run(go())


def test_no_sandbox_keeps_the_others_from_being_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "KEPT_LIMIT", 1_000_000)

    def said(owner: str, size: int) -> Request:
        asked = request()
        asked.owner = owner
        asked.keep(size)
        return asked

    first = [said("hostile", 100_000) for _ in range(6)]
    for size in (70_000, 100_000):
        with pytest.raises(ApiError, match="too much at once"):
            said("hostile", size)
    second = said("", 200_000)
    with pytest.raises(ApiError, match="too much at once"):
        second.keep(100_000)
    third = said("another", 100_000)
    for asked in (*first, second, third):
        asked.let_go()
    assert not Request.kept


def test_of_a_stream_only_what_has_not_been_used_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "KEPT_LIMIT", 1_000_000)

    async def count(found: AsyncIterator[Message]) -> dict[str, Any]:
        return {"found": len([message async for message in found])}

    async def go() -> None:
        asked = request(*[envelope({"data": "x" * 300_000})] * 10)
        told = await received(await connect.client_stream(asked, count))
        assert told[0] == (0, {"found": 10})

    asyncio.run(go())


@pytest.mark.parametrize("odd", ["\xb2", "-1", "1e3", "9" * 100_000])
def test_a_time_that_is_no_number_is_none(odd: str) -> None:
    asked = request(headers={"connect-timeout-ms": odd, "keepalive-ping-interval": odd})
    assert connect.deadline(asked) is None
    assert connect.keepalive(asked) >= 90


def test_a_handler_is_closed_when_its_stream_is() -> None:
    closed: list[bool] = []

    async def endless(_message: Message) -> AsyncIterator[dict[str, Any]]:
        try:
            while True:
                yield {}
        finally:
            closed.append(True)

    async def go() -> None:
        stream = await connect.server_stream(request(envelope({})), endless)
        await anext(stream.body)
        await stream.body.aclose()  # type: ignore[attr-defined]

    asyncio.run(go())
    assert closed == [True]


def test_messages_of_a_client_stream_arrive_as_they_come() -> None:
    async def go() -> None:
        arrived: asyncio.Queue[int] = asyncio.Queue()
        more: asyncio.Queue[bytes] = asyncio.Queue()

        async def receive() -> dict[str, Any]:
            piece = await more.get()
            return {"type": "http.request", "body": piece, "more_body": bool(piece)}

        async def handler(messages: AsyncIterator[Message]) -> dict[str, Any]:
            async for message in messages:
                arrived.put_nowait(message.number("number"))
            return {"good": "bye"}

        scope = {
            "type": "http", "method": "POST", "path": "/x", "query_string": b"",
            "headers": [(b"content-type", b"application/connect+json")],
        }  # fmt: skip
        stream = await connect.client_stream(Request(scope, receive), handler)
        answer = asyncio.create_task(received(stream))
        for number in range(3):
            more.put_nowait(envelope({"number": number}))
            async with asyncio.timeout(1):
                assert await arrived.get() == number
        assert not answer.done()
        more.put_nowait(b"")
        assert await answer == [(0, {"good": "bye"}), (2, {})]

    asyncio.run(go())


def test_a_unary_call_maps_its_error_to_a_status() -> None:
    async def refuse(message: Message) -> dict[str, Any]:
        raise RpcError("not_found", message.text("name"))

    async def go(body: bytes, headers: dict[str, str] | None = None) -> Response:
        return await connect.unary(request(body, streaming=False, headers=headers), refuse)

    answer = asyncio.run(go(b'{"name": "x", "unknown": 1}'))
    assert (answer.status, json.loads(answer.body)) == (404, {"code": "not_found", "message": "x"})
    assert asyncio.run(go(b'{"name": 1}')).status == 400
    packed, header = gzip.compress(b'{"name": "y"}'), {"content-encoding": "gzip"}
    assert json.loads(asyncio.run(go(packed, header)).body)["message"] == "y"


def test_a_unary_call_ends_at_its_deadline() -> None:
    async def hang(_message: Message) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def go() -> Response:
        headers = {"connect-timeout-ms": "20"}
        return await connect.unary(request(b"{}", streaming=False, headers=headers), hang)

    answer = asyncio.run(go())
    assert (answer.status, json.loads(answer.body)["code"]) == (504, "deadline_exceeded")


def test_another_codec_is_refused() -> None:
    async def go() -> None:
        await connect.unary(
            request(b"", streaming=False, headers={"content-type": "application/proto"}),
            counting,  # type: ignore[arg-type]
        )

    with pytest.raises(ApiError) as refused:
        asyncio.run(go())
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("header", "user"),
    [(None, "user"), ("user:", "user"), ("root:", "root"), ("root:secret", "root"), (":", "user")],
)
def test_the_acting_user_comes_by_basic_authentication(header: str | None, user: str) -> None:
    given = {} if header is None else {"authorization": basic(header)}
    assert connect.acting_user(request(headers=given), "user") == user


@pytest.mark.parametrize("header", ["Basic !", "Basic \xe9", "Basic Ym9iOg==", "Basic /w=="])
def test_an_unknown_user_is_unauthenticated(header: str) -> None:
    with pytest.raises(RpcError) as refused:
        connect.acting_user(request(headers={"authorization": header}), "user")
    assert refused.value.code == "unauthenticated"


def basic(credentials: str) -> str:
    return "Basic " + base64.b64encode(credentials.encode()).decode()
