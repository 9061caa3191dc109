"""Upgraded connections to programs inside, and what becomes of all when a sandbox goes."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import threading
import time

import pytest

from tests.attack.wire import Sandbox, Wire
from tests.sdk.serving import Serving
from tests.server.talking import (
    GET,
    PORT,
    asking,
    dial,
    exactly,
    head_of,
    is_reset,
    resident,
    seen,
    upgraded,
)
from tests.waiting import until


def test_a_websocket_talks_both_ways(wire: Wire, talker: Sandbox) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    with dial(wire) as connection:
        connection.sendall(asking(talker, GET.format("/ws"), *lines, f"Sec-WebSocket-Key: {key}"))
        head = head_of(connection).decode().lower()
        accept = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert f"sec-websocket-accept: {base64.b64encode(accept).decode().lower()}" in head
        assert head.count("set-cookie: ") == 2
        assert head.count("connection: upgrade") == head.count("upgrade: websocket") == 1
        for text in (b"hello", b"x" * 60_000):
            size = len(text)
            length = bytes([128 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
            connection.sendall(b"\x81" + length + bytes(4) + text)
            expected = b"\x81" + bytes([length[0] & 127]) + length[1:] + text
            assert exactly(connection, len(expected)) == expected
        connection.sendall(b"\x88\x80\0\0\0\0")
        assert exactly(connection, 2) == b"\x88\x00"
        assert connection.recv(1) == b""


def test_a_tunnel_by_host_name_with_early_bytes(wire: Wire, talker: Sandbox) -> None:
    with dial(wire) as connection:
        name = f"{PORT}-{talker.id}.localhost"
        head = (
            f"GET /upgrade HTTP/1.1\r\nHost: {name}\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        )
        connection.sendall(head.encode() + b"early")
        head_of(connection)
        assert exactly(connection, 10) == b"helloearly"
        connection.sendall(b"GET /v2/sandboxes HTTP/1.1\r\n\r\n")
        assert exactly(connection, 30).startswith(b"GET /v2")
        connection.sendall(b"quit")
        assert connection.recv(1) == b""


def test_megabytes_go_through_a_tunnel_and_back(wire: Wire, talker: Sandbox) -> None:
    data = os.urandom(1_000_000) * 20
    with upgraded(wire, talker) as connection:
        assert exactly(connection, 5) == b"hello"
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert hashlib.sha256(exactly(connection, len(data))).digest() == (
            hashlib.sha256(data).digest()
        )
        sender.join()


def test_what_a_client_sent_last_still_arrives(wire: Wire, talker: Sandbox) -> None:
    gone = seen(wire, talker, "gone")
    with upgraded(wire, talker, "drain") as connection:
        connection.sendall(bytes(3_000_000))
    until(lambda: seen(wire, talker, "gone") > gone)
    assert seen(wire, talker, "drained") == 3_000_000


def test_a_tunnel_waits_for_its_slower_end(wire: Wire, talker: Sandbox, service: Serving) -> None:
    before, gone = resident(service.pid), seen(wire, talker, "gone")
    with upgraded(wire, talker, "pour"):
        time.sleep(1)
        assert seen(wire, talker, "flooded") < 30_000_000
        assert resident(service.pid) - before < 20_000_000
    until(lambda: seen(wire, talker, "gone") > gone)


def test_a_refused_upgrade_leaves_the_connection_with_us(wire: Wire, talker: Sandbox) -> None:
    """Or the key of the next request on it would go to the program."""
    lines = ("Connection: Upgrade", "Upgrade: websocket")
    with dial(wire) as connection:
        for _ in range(2):
            connection.sendall(asking(talker, GET.format("/echo"), *lines))
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert b"upgrade: websocket" in response.read().lower()
        ours = f"GET /v2/sandboxes HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {wire.key}\r\n\r\n"
        connection.sendall(ours.encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert talker.id in response.read().decode()


def test_a_client_that_would_rather_speak_http2_is_answered(wire: Wire, talker: Sandbox) -> None:
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAA")
    with dial(wire) as connection:
        first = asking(talker, "POST /echo HTTP/1.1", *lines, "Content-Length: 2") + b"ab"
        connection.sendall(first + asking(talker, GET.format("/seen/gone")))
        received = b""
        while received.count(b"HTTP/1.1 200 ") < 2:
            received += connection.recv(65536)
        assert b"upgrade" not in received.lower()
        assert b"http2" not in received.lower()


@pytest.mark.parametrize("verb", ["kill", "pause"])
@pytest.mark.parametrize("way", ["flood", "events", "upgrade"])
def test_a_connection_into_a_sandbox_that_goes_is_reset(
    wire: Wire, another: Sandbox, way: str, verb: str
) -> None:
    with dial(wire) as connection:
        lines = ("Connection: Upgrade", "Upgrade: echo") if way == "upgrade" else ()
        connection.sendall(asking(another, GET.format(f"/{way}"), *lines))
        head_of(connection)
        if verb == "kill":
            wire.kill(another)
        else:
            assert wire.api("POST", f"/sandboxes/{another.id}/pause").status == 204
        began = time.monotonic()
        assert is_reset(connection)
        assert time.monotonic() - began < 5
    answer = wire.inside(another, PORT, "GET", "/echo")
    assert answer.status == 502
    assert answer.json()["message"] == "The sandbox was not found"
    wire.kill(another)


def test_who_still_waits_when_the_sandbox_goes_is_told(wire: Wire, another: Sandbox) -> None:
    with dial(wire) as connection:
        connection.sendall(asking(another, GET.format("/never")))
        time.sleep(0.2)
        wire.kill(another)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 502
        assert json.loads(response.read())["message"] == "The sandbox was not found"


def test_a_program_that_crashes_resets_its_tunnel(wire: Wire, another: Sandbox) -> None:
    with upgraded(wire, another) as connection:
        exactly(connection, 5)
        wire.run(another, "pkill -9 -f talker.py")
        began = time.monotonic()
        is_reset(connection)
        assert time.monotonic() - began < 5
    wire.kill(another)
