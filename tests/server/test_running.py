"""Rude, odd and broken clients of the service."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from tests.attack.wire import ENVD, Sandbox, Wire
from tests.sdk.serving import Serving
from tests.server.talking import PORT, dial, into, ours, refused, resident, response
from tests.waiting import until


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n \r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http://localhost HTTP/1.1\r\n: localhost\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n X: folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        # What one end takes for a body, another may execute.
        b"POST /v2/sandboxes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET /v2/sandboxes HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00" * 100,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"ffffffffffffffffff\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
    ],
    ids=range(27),
)
def test_what_is_no_http_is_refused_in_the_shape_of_every_error(wire: Wire, data: bytes) -> None:
    with dial(wire) as connection:
        connection.sendall(data)
        assert refused(connection) in {400, 401, 421}


def test_who_names_two_hosts_is_refused(wire: Wire) -> None:
    with dial(wire) as connection:
        connection.sendall(ours(wire, "GET /v2/sandboxes HTTP/1.1", "host: localhost"))
        assert refused(connection) == 400


def test_nonsense_in_a_body_that_is_read_is_refused(wire: Wire) -> None:
    for body in (b"zz\r\n", b"5\r\nhello55\r\n", b"1\r\nab\r\n"):
        with dial(wire) as connection:
            start = "POST /v2/sandboxes HTTP/1.1"
            connection.sendall(ours(wire, start, "Transfer-Encoding: chunked"))
            time.sleep(0.1)
            connection.sendall(body)
            assert refused(connection) == 400


def test_nonsense_behind_a_good_request_does_not_spoil_its_answer(
    wire: Wire, talker: Sandbox
) -> None:
    with dial(wire) as connection:
        connection.sendall(into(talker, "GET /events HTTP/1.1", port=PORT) + b"\x01\x02\r\n\r\n")
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        assert b"400 Bad Request" not in received


@pytest.mark.parametrize(
    ("method", "status"), [("TRACE", 404), ("OPTIONS", 404), ("PROPFIND", 404), ("QUERY", 404)]
)
def test_methods_that_nobody_uses_have_an_answer(wire: Wire, method: str, status: int) -> None:
    answer = wire.api(method, "/nowhere")
    assert answer.status in {status, 405, 400}
    assert answer.json()["code"] == answer.status


def test_a_client_that_closes_after_its_request_is_nobodys_failure(
    wire: Wire, talker: Sandbox
) -> None:
    """Between the close and the news of it, an answer may be written; the log must stay calm."""
    for number in range(300):
        port = (ENVD, PORT)[number % 2]
        start = ("GET /health HTTP/1.1", "GET /chunks HTTP/1.1")[number % 2]
        with dial(wire) as connection:
            connection.sendall(into(talker, start, port=port))
            time.sleep(number % 5 / 1000)
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while connection.recv(65536):
                    pass


def test_a_long_header_is_taken_and_a_longer_one_refused(wire: Wire) -> None:
    with dial(wire) as connection:
        connection.sendall(ours(wire, "GET /v2/sandboxes HTTP/1.1", "X: " + "y" * 100_000))
        assert response(connection)[0] == 200
    for head in (
        ours(wire, "GET /v2/sandboxes HTTP/1.1", "X: " + "y" * 200_000),
        ours(wire, "GET /v2/sandboxes HTTP/1.1", *["X: y"] * 60_000),
        ours(wire, f"GET /v2/{'x' * 1_000_000} HTTP/1.1"),
    ):
        with dial(wire) as connection:
            connection.sendall(head)
            assert refused(connection) == 431


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
        b"GET /",
        b"POST /v2/sandboxes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;",
        b"POST /v2/sandboxes HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
        b"\r\n",
    ],
)
def test_what_has_no_end_costs_no_memory(wire: Wire, service: Serving, start: bytes) -> None:
    before = resident(service.pid)
    with dial(wire) as connection, contextlib.suppress(OSError):
        connection.sendall(start)
        for _ in range(1000):
            connection.sendall((b"\r\n" if start == b"\r\n" else b"x") * 50_000)
    assert resident(service.pid) - before < 20_000_000
    assert wire.api("GET", "/v2/sandboxes").status == 200


def test_other_forms_of_a_request_are_understood(wire: Wire) -> None:
    key = f"X-API-Key: {wire.key}\r\n".encode()
    for head in (
        b"GET http://localhost/v2/sandboxes?limit=1 HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v2/sandboxes HTTP/1.0\r\nHost: localhost\r\n",
        b"GET /v2/sandboxes HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n",
        b"\r\n\r\nGET /v2/sandboxes HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v2/sandboxes?x=%ff%00%zz HTTP/1.1\r\nHost: localhost\r\n",
    ):
        with dial(wire) as connection:
            connection.sendall(head + key + b"\r\n")
            assert response(connection)[0] == 200, head


def test_an_old_client_is_sent_no_chunks(wire: Wire, talker: Sandbox) -> None:
    with dial(wire) as connection:
        connection.sendall(into(talker, "GET /chunks HTTP/1.0", port=PORT))
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert body == b"abc" * 50


def test_requests_in_a_row_are_answered_in_that_order(wire: Wire, talker: Sandbox) -> None:
    with dial(wire) as connection:
        heads = [into(talker, f"GET /echo?{n} HTTP/1.1", port=PORT) for n in range(200)]
        connection.sendall(b"".join(heads))
        received = b""
        while b"GET /echo?199 " not in received:
            received += connection.recv(65536)
        places = [received.index(b"GET /echo?%d " % number) for number in range(200)]
        assert places == sorted(places)


def test_who_waits_in_a_row_does_not_hide_that_the_client_left(
    wire: Wire, talker: Sandbox, service: Serving
) -> None:
    gone = int(wire.inside(talker, PORT, "GET", "/seen/gone").body)
    with dial(wire) as connection:
        connection.sendall(into(talker, "GET /never HTTP/1.1", port=PORT) + ours(wire) * 3)
        time.sleep(0.3)
    until(lambda: int(wire.inside(talker, PORT, "GET", "/seen/gone").body) == gone + 1)


def test_an_endless_row_of_requests_costs_no_memory(
    wire: Wire, talker: Sandbox, service: Serving
) -> None:
    before = resident(service.pid)
    with dial(wire) as connection, contextlib.suppress(OSError):
        connection.sendall(into(talker, "GET /never HTTP/1.1", port=PORT))
        for _ in range(100):
            connection.sendall(ours(wire) * 500)
    assert resident(service.pid) - before < 40_000_000


def test_an_upgrade_is_declined_by_whom_it_does_not_concern(wire: Wire) -> None:
    with dial(wire) as connection:
        for lines in (
            ("Connection: Upgrade", "Upgrade: websocket"),
            ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM"),
        ):
            connection.sendall(ours(wire, "GET /v2/sandboxes HTTP/1.1", *lines))
            assert response(connection)[0] == 200
            body = b'{"timeout": 20}'
            length = f"Content-Length: {len(body)}"
            start = "POST /sandboxes/nosuch/timeout HTTP/1.1"
            connection.sendall(ours(wire, start, *lines, length) + body)
            assert response(connection)[0] == 404
