"""Clients that are slow, rude or many."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.attack.wire import ENVD, Sandbox, Wire
from tests.sdk.serving import Serving
from tests.waiting import until

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


def test_many_creates_and_kills_at_once_end_in_order(wire: Wire, service: Serving) -> None:
    before = _descriptors(service.pid)

    def cycle(_: int) -> None:
        made = wire.create()
        assert wire.is_healthy(made)
        wire.kill(made)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(cycle, range(48)))
    until(lambda: _descriptors(service.pid) <= before + 8)


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
