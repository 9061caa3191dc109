"""What programs inside answer, sane or not, as their clients see it."""

from __future__ import annotations

import http.client
import time
from functools import partial

import pytest

from tests.attack.wire import Answer, Sandbox, Wire
from tests.sdk.serving import Serving
from tests.server.talking import (
    GET,
    LONG,
    OCTETS,
    PORT,
    asking,
    descriptors,
    dial,
    head_of,
    is_reset,
    resident,
    seen,
)
from tests.waiting import until


def _answered(wire: Wire, sandbox: Sandbox, inner: bytes, way: str = "raw") -> Answer:
    return wire.inside(sandbox, PORT, "GET", f"/{way}/{inner.hex()}")


def test_status_headers_and_body_come_back(wire: Wire, talker: Sandbox) -> None:
    with dial(wire) as connection:
        inner = (
            b"HTTP/1.1 418 Tea\r\nSet-Cookie: a=1; Expires=Thu, 01 Jan 2026\r\nSet-Cookie: b=2\r\n"
            b"Link: <x>\r\nLink: <y>\r\nX-Bytes: \xe4\r\nContent-Length: 3\r\n"
            b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\n\r\nabc"
        )
        connection.sendall(asking(talker, GET.format(f"/open/{inner.hex()}")))
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 418
        assert response.read() == b"abc"
        names = [name for name, _ in response.getheaders()]
        assert response.headers.get_all("set-cookie") == ["a=1; Expires=Thu, 01 Jan 2026", "b=2"]
        assert response.headers.get_all("link") == ["<x>", "<y>"]
        assert response.headers["x-bytes"] == "\xe4"
        assert not {"connection", "keep-alive", "x-hop"} & set(names)
        connection.sendall(asking(talker, GET.format("/seen/gone")))  # the connection lives on
        assert head_of(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("inner", "status", "body"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok\r\n", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 204 No\r\n\r\n", 204, b""),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", 204, b""),
        (b"HTTP/1.1 304 Old\r\nContent-Length: 5\r\nETag: x\r\n\r\n", 304, b""),
        (b"HTTP/1.1 500 Bad\r\nContent-Length: 2\r\n\r\nno", 500, b"no"),
        (b"HTTP/1.1 599 Odd\r\nContent-Length: 2\r\n\r\nno", 599, b"no"),
        (b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nx", 200, b"x"),
        (b"HTTP/1.1 200 OK\r\n" + LONG * 3 + b"Content-Length: 1\r\n\r\nx", 200, b"x"),
    ],
)
@pytest.mark.parametrize("way", ["raw", "drip"])
def test_answers_of_all_kinds(
    wire: Wire, talker: Sandbox, inner: bytes, status: int, body: bytes, way: str
) -> None:
    if way == "drip" and len(inner) > 1000:
        pytest.skip("a drop at a time takes too long")
    if len(inner) > 1000:  # too long for a path
        wire.envd(talker, "POST", "/files?path=/tmp/inner", inner, OCTETS)
        line = "python3 -c \"import socket as s; l=s.create_server(('',8101)); c=l.accept()[0]"
        line += "; c.recv(9999); c.sendall(open('/tmp/inner','rb').read()); c.recv(1)\""
        wire.run(talker, line + " </dev/null >/dev/null 2>&1 & disown")
        time.sleep(0.5)
        answer = wire.inside(talker, 8101, "GET", "/")
    else:
        answer = _answered(wire, talker, inner, way)
    assert (answer.status, answer.body) == (status, body)


@pytest.mark.parametrize(
    "inner",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x01\x02" * 100,
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 999 Odd\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\n\r\n",
        b"HTTP/1.1 101 Unasked\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nspoken",
        b"HTTP/1.1 101 Unasked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX y: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: a\n\nx",
        b"HTTP/2 200 OK\r\n\r\nx",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 100 Go\r\n\r\n" * 1000,
    ],
    ids=range(20),
)
def test_nonsense_is_a_502(wire: Wire, talker: Sandbox, inner: bytes) -> None:
    answer = _answered(wire, talker, inner)
    assert answer.status == 502
    assert answer.json()["code"] == 502
    assert answer.json()["message"].startswith("the program inside ")
    assert {"set-cookie", "x"}.isdisjoint(name.lower() for name in answer.headers)


def test_a_head_without_an_end_is_a_502(wire: Wire, talker: Sandbox) -> None:
    code = (
        "import socket; l = socket.create_server(('', 8102)); c = l.accept()[0]; c.recv(9999)\n"
        "c.sendall(b'HTTP/1.1 200 OK\\r\\nX: ')\nwhile 1: c.sendall(b'x' * 65536)"
    )
    wire.run(talker, f'python3 -c "{code}" </dev/null >/dev/null 2>&1 & disown')
    time.sleep(0.5)
    assert wire.inside(talker, 8102, "GET", "/").status == 502


@pytest.mark.parametrize(
    "inner",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc",
        b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_cut_off(wire: Wire, talker: Sandbox, inner: bytes) -> None:
    with dial(wire) as connection:
        connection.sendall(asking(talker, GET.format(f"/raw/{inner.hex()}")))
        assert is_reset(connection)


def test_a_head_has_a_length_and_no_body(wire: Wire, talker: Sandbox) -> None:
    for inner, length in (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "5"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
    ):
        with dial(wire) as connection:
            connection.sendall(asking(talker, f"HEAD /open/{inner.hex()} HTTP/1.1"))
            response = http.client.HTTPResponse(connection, method="HEAD")
            response.begin()
            assert response.headers["content-length"] == length
            connection.sendall(asking(talker, GET.format("/seen/gone")))
            assert head_of(connection).startswith(b"HTTP/1.1 200 ")


def test_chunks_come_without_what_is_between_them(wire: Wire, talker: Sandbox) -> None:
    assert wire.inside(talker, PORT, "GET", "/chunks").body == b"abc" * 50


def test_events_come_one_by_one(wire: Wire, talker: Sandbox) -> None:
    with dial(wire) as connection:
        connection.sendall(asking(talker, GET.format("/events")))
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.readline() == b"data: 0\n"
        first = time.monotonic()
        response.readline()
        assert response.readline() == b"data: 1\n"
        assert time.monotonic() - first > 0.1  # the program waits 0.3 s between them


def test_an_endless_answer_waits_for_its_reader(
    wire: Wire, talker: Sandbox, service: Serving
) -> None:
    before, gone = resident(service.pid), seen(wire, talker, "gone")
    with dial(wire) as connection:
        connection.sendall(asking(talker, GET.format("/flood")))
        connection.recv(1000)
        time.sleep(1)
        flooded = seen(wire, talker, "flooded")
        time.sleep(0.3)
        assert seen(wire, talker, "flooded") == flooded < 30_000_000
        assert resident(service.pid) - before < 20_000_000
    until(lambda: seen(wire, talker, "gone") > gone)


def test_a_program_learns_that_its_client_has_left(
    wire: Wire, talker: Sandbox, service: Serving
) -> None:
    before, gone = descriptors(service.pid), seen(wire, talker, "gone")
    for lines in ((), ("Content-Length: 9",), ("Transfer-Encoding: chunked",)):
        gone += 1
        with dial(wire) as connection:
            connection.sendall(asking(talker, "POST /never HTTP/1.1", *lines))
            time.sleep(0.2)
        until(partial(_has_seen, wire, talker, gone))
    until(lambda: descriptors(service.pid) <= before)


def _has_seen(wire: Wire, sandbox: Sandbox, gone: int) -> bool:
    return seen(wire, sandbox, "gone") == gone
