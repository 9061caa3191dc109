"""Clients that are slow, rude or many."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attack.wire import ENVD, Sandbox, Wire, envelope
from tests.sdk.serving import Serving

pytestmark = pytest.mark.slow


def _head(sandbox: Sandbox, method: str = "GET", path: str = "/health", extra: str = "") -> bytes:
    return (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nE2b-Sandbox-Id: {sandbox.id}\r\n"
        f"E2b-Sandbox-Port: {ENVD}\r\nX-Access-Token: {sandbox.token}\r\n{extra}\r\n"
    ).encode()


def test_five_hundred_connections_are_all_answered(wire: Wire, victim: Sandbox) -> None:
    with contextlib.ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection(wire.address, timeout=20))
            for _ in range(500)
        ]
        for connection in crowd:
            connection.sendall(_head(victim))
        for connection in crowd:
            assert connection.recv(4096).startswith(b"HTTP/1.1 204")


def test_five_hundred_silent_connections_stop_nobody(wire: Wire, victim: Sandbox) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(500):
            connection = stack.enter_context(socket.create_connection(wire.address, timeout=20))
            connection.sendall(_head(victim)[: number % 60])
        began = time.monotonic()
        assert wire.is_healthy(victim)
        assert time.monotonic() - began < 15


def test_a_slow_body_stops_nobody(wire: Wire, victim: Sandbox) -> None:
    kind = "Content-Type: application/octet-stream\r\nContent-Length: 20\r\n"
    with socket.create_connection(wire.address, timeout=20) as slow:
        slow.sendall(_head(victim, "POST", "/files?path=slow", kind))
        for _ in range(10):
            slow.sendall(b"ab")
            assert wire.is_healthy(victim)
            time.sleep(0.05)
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")
    assert wire.envd(victim, "GET", "/files?path=slow").body == b"ab" * 10


def test_a_reader_that_does_not_read_costs_no_memory(
    wire: Wire, victim: Sandbox, service: Serving
) -> None:
    message = envelope(b'{"process": {"cmd": "/usr/bin/yes"}, "stdin": false}')
    kind = f"Content-Type: application/connect+json\r\nContent-Length: {len(message)}\r\n"
    before = _resident(service.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            deaf = stack.enter_context(socket.socket())
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(wire.address)
            deaf.sendall(_head(victim, "POST", "/process.Process/Start", kind) + message)
        time.sleep(3)
        assert wire.is_healthy(victim)
        assert _resident(service.pid) - before < 100 * 1024 * 1024
    wire.run(victim, "pkill -9 yes")


def test_clients_that_vanish_leave_nothing_open(
    wire: Wire, victim: Sandbox, service: Serving
) -> None:
    before = _descriptors(service.pid)
    message = envelope(b'{"process": {"cmd": "/bin/sleep", "args": ["0.2"]}, "stdin": false}')
    kind = f"Content-Type: application/connect+json\r\nContent-Length: {len(message)}\r\n"
    for number in range(60):
        with socket.create_connection(wire.address, timeout=20) as rude:
            request = _head(victim, "POST", "/process.Process/Start", kind) + message
            rude.sendall(request[: len(request) - (number % 3)])
    deadline = time.monotonic() + 10
    while _descriptors(service.pid) > before + 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _descriptors(service.pid) <= before + 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,  # TLS
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=range(11),
)
def test_what_is_not_http_is_refused(wire: Wire, victim: Sandbox, data: bytes) -> None:
    received = wire.raw(data)
    assert received == b"" or received.startswith(b"HTTP/1.1 4"), received[:200]
    assert wire.is_healthy(victim)


def test_a_second_request_cannot_hide_in_the_first(wire: Wire, victim: Sandbox) -> None:
    """A length and a chunked body together: what one end takes for body, another may execute."""
    smuggled = b"GET /v2/sandboxes HTTP/1.1\r\nHost: localhost\r\n\r\n"
    request = (
        b"POST /v2/sandboxes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    received = wire.raw(request + smuggled)
    assert b"HTTP/1.1 200" not in received
    assert wire.is_healthy(victim)


def test_many_creates_and_kills_at_once_end_in_order(wire: Wire, service: Serving) -> None:
    before = _descriptors(service.pid)

    def cycle(_: int) -> None:
        made = wire.create()
        assert wire.is_healthy(made)
        wire.kill(made)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(cycle, range(48)))
    deadline = time.monotonic() + 10
    while _descriptors(service.pid) > before + 8 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _descriptors(service.pid) <= before + 8


def test_a_kill_races_with_everything_else(wire: Wire) -> None:
    for _ in range(10):
        made = wire.create()
        threads = [
            threading.Thread(target=_quietly, args=(wire, made, path))
            for path in ("/process.Process/List", "/filesystem.Filesystem/ListDir") * 4
        ]
        for thread in threads:
            thread.start()
        wire.kill(made)
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        assert not wire.is_healthy(made)


def _quietly(wire: Wire, sandbox: Sandbox, path: str) -> None:
    with contextlib.suppress(OSError):
        assert wire.envd(sandbox, "POST", path, {"path": "/"}).status in {200, 502}


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
