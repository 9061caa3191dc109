"""Requests that are nearly right: whatever comes, each answer is whole and the service lives on."""

from __future__ import annotations

import http.client
import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.attack.wire import Sandbox, Wire
from tests.server.talking import asking, dial, with_talker

pytestmark = pytest.mark.in_turn(day=0)

_SNIPPETS = [
    b"",
    b"\r\n",
    b"\r",
    b"\n",
    b"\x00",
    b" ",
    b":",
    b"\xff",
    b"0\r\n\r\n",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nContent-Length: 3",
    b"\r\nConnection: upgrade\r\nUpgrade: websocket",
    b"\r\nConnection: upgrade\r\nUpgrade: h2c",
    b"\r\nConnection: close",
    b"\r\nExpect: 100-continue",
    b" HTTP/1.0\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
]
_EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(_SNIPPETS)), max_size=4
)


def _requests(wire: Wire, victim: Sandbox) -> list[bytes]:
    key = f"Host: localhost\r\nX-API-Key: {wire.key}\r\n"
    into = f"Host: localhost\r\nE2b-Sandbox-Id: {victim.id}\r\nE2b-Sandbox-Port: "
    envd = f"{into}49983\r\nX-Access-Token: {victim.token}\r\n"
    return [
        f"GET /v2/sandboxes?limit=1 HTTP/1.1\r\n{key}\r\n".encode(),
        f"POST /sandboxes/none/timeout HTTP/1.1\r\n{key}Content-Length: 13\r\n\r\n".encode()
        + b'{"timeout":9}',
        f"POST /sandboxes/none/timeout HTTP/1.1\r\n{key}Transfer-Encoding: chunked\r\n\r\n".encode()
        + b'd;x=y\r\n{"timeout":9}\r\n0\r\nTrailer: 1\r\n\r\n',
        f"GET /health HTTP/1.1\r\n{envd}\r\n".encode(),
        f"POST /process.Process/List HTTP/1.1\r\n{envd}Content-Type: application/json\r\n"
        "Content-Length: 2\r\n\r\n{}".encode(),
        f"GET /files?path=/etc/passwd HTTP/1.1\r\n{envd}\r\n".encode(),
        f"GET / HTTP/1.1\r\n{into}8888\r\n\r\n".encode(),
    ]


def _edited(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for where, length, snippet in edits:
        at = int(where * len(data))
        data = data[:at] + snippet + data[at + length :]
    return data


@settings(max_examples=1500)
@given(which=st.integers(0, 6), edits=_EDITS, again=st.booleans())
def test_a_request_that_is_nearly_right_gets_whole_answers_or_none(
    wire: Wire, victim: Sandbox, which: int, edits: list[tuple[float, int, bytes]], again: bool
) -> None:
    request = _requests(wire, victim)[which]
    data = _edited(request, edits) + (request if again else b"")
    received = b""
    with socket.create_connection(wire.address, timeout=0.05) as connection:
        try:
            connection.sendall(data)
            while piece := connection.recv(65536):
                received += piece
        except (TimeoutError, ConnectionError):
            pass
    while received:
        received = _without_one_answer(received)


def _without_one_answer(data: bytes) -> bytes:
    head, end, rest = data.partition(b"\r\n\r\n")
    assert end, data
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 "), data
    status = int(lines[0].split(b" ")[1])
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
    if b"transfer-encoding" in headers:
        assert b"0\r\n\r\n" in rest, data
        return rest.partition(b"0\r\n\r\n")[2]
    length = int(headers.get(b"content-length", 0))
    if headers.get(b"connection") == b"close" and b"content-length" not in headers:
        length = len(rest)
    body, rest = rest[:length], rest[length:]
    assert len(body) == length, data
    if status >= 400:
        assert json.loads(body)["code"] in {status, "not_found", "invalid_argument", "internal"}
    return rest


_ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
]


@pytest.fixture(scope="module")
def talker(wire: Wire) -> Sandbox:
    return with_talker(wire)


@settings(max_examples=500)
@given(which=st.integers(0, 4), edits=_EDITS, method=st.sampled_from(["GET", "HEAD", "OPTIONS"]))
def test_an_answer_that_is_nearly_right_is_whole_or_cut_off(
    wire: Wire, talker: Sandbox, which: int, edits: list[tuple[float, int, bytes]], method: str
) -> None:
    path = f"/raw/{_edited(_ANSWERS[which], edits).hex()}"
    with dial(wire, 5) as connection:
        connection.sendall(asking(talker, f"{method} {path} HTTP/1.1"))
        response = http.client.HTTPResponse(connection, method=method)
        try:
            response.begin()
            response.read()
        except ConnectionResetError:
            return
        connection.sendall(asking(talker, "GET /seen/gone HTTP/1.1"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")  # nothing is left over
