"""Slow clients, clients that leave, and the service's own end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.attack.wire import Sandbox, Wire, envelope
from tests.sdk.serving import Serving, served
from tests.server.talking import (
    PORT,
    descriptors,
    dial,
    into,
    is_calm,
    is_reset,
    ours,
    refused,
    resident,
    response,
    with_talker,
)
from tests.waiting import until

SLEEP = envelope(b'{"process": {"cmd": "/bin/sleep", "args": ["100"]}, "stdin": false}')
YES = envelope(b'{"process": {"cmd": "/usr/bin/yes"}, "stdin": false}')
CONNECT = ("Content-Type: application/connect+json", "Connect-Protocol-Version: 1")


def _start(made: Sandbox, message: bytes) -> bytes:
    lines = (*CONNECT, f"Content-Length: {len(message)}")
    return into(made, "POST /process.Process/Start HTTP/1.1", *lines) + message


def test_many_that_do_nothing_stop_nobody(wire: Wire, talker: Sandbox, service: Serving) -> None:
    before, memory = descriptors(service.pid), resident(service.pid)
    with contextlib.ExitStack() as stack:
        beginnings = (
            b"",
            b"GET /v2/sand",
            ours(wire)[:-1],
            ours(wire, "POST /v2/sandboxes HTTP/1.1", "Content-Length: 9") + b"{",
            ours(wire, "POST /v2/sandboxes HTTP/1.1", "Transfer-Encoding: chunked") + b"5\r\nx",
            into(talker, "POST /files?path=half HTTP/1.1", "Content-Length: 9") + b"x",
            ours(wire, "GET /v2/sandboxes HTTP/1.1", "Connection: upgrade", "Upgrade: x"),
        )
        for number in range(500):
            connection = stack.enter_context(dial(wire))
            connection.sendall(beginnings[number % len(beginnings)])
        began = time.monotonic()
        assert wire.run(talker, "echo hi") == b"hi\n"
        assert wire.api("GET", "/v2/sandboxes").status == 200
        assert time.monotonic() - began < 10
        assert resident(service.pid) - memory < 60_000_000
    until(lambda: descriptors(service.pid) <= before)


@pytest.mark.campaign  # it only waits, for as long as it says
def test_a_head_must_come_within_half_a_minute_and_an_idle_client_may_stay(
    wire: Wire, talker: Sandbox
) -> None:
    with contextlib.ExitStack() as stack:
        silent, half, dripping, idle, upload = (
            stack.enter_context(dial(wire, 40)) for _ in range(5)
        )
        half.sendall(b"GET / HTTP/1.1\r\nHost: lo")
        idle.sendall(ours(wire))
        assert response(idle)[0] == 200
        start = "POST /files?path=slow HTTP/1.1"
        kind = "Content-Type: application/octet-stream"
        upload.sendall(into(talker, start, kind, "Content-Length: 2") + b"a")
        dripping.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(31):
            with contextlib.suppress(OSError):
                dripping.sendall(b"X: y\r\n")
            time.sleep(1)
        assert silent.recv(1) == b""
        assert refused(half) == 408
        assert refused(dripping) == 408
        idle.sendall(ours(wire))
        assert response(idle)[0] == 200
        upload.sendall(b"b")
        assert response(upload)[0] == 200


def test_a_kill_is_a_reset_for_who_reads_and_for_who_does_not(wire: Wire) -> None:
    made = wire.create()
    with dial(wire) as reading, dial(wire) as deaf:
        reading.sendall(_start(made, SLEEP))
        deaf.sendall(_start(made, YES))
        assert reading.recv(65536).startswith(b"HTTP/1.1 200")
        time.sleep(0.5)
        wire.kill(made)
        assert is_reset(reading)
        assert is_reset(deaf)


@pytest.mark.parametrize("kill", [True, False])
def test_a_running_command_hears_of_its_sandboxes_end(wire: Wire, kill: bool) -> None:

    import e2b

    options: Any = {"api_key": wire.key, "api_url": wire.url, "sandbox_url": wire.url}
    made = e2b.Sandbox.create("base", timeout=60, **options)
    threading.Timer(0.7, made.kill if kill else lambda: made.set_timeout(0)).start()
    with pytest.raises(e2b.TimeoutException, match="sandbox was killed or reached its end of life"):
        made.commands.run("sleep 20")


def test_clients_that_vanish_in_any_phase_leave_nothing_open(
    wire: Wire, talker: Sandbox, service: Serving
) -> None:
    upgrade = ("Connection: upgrade", "Upgrade: echo")
    phases = [
        b"",
        b"GET /v2/sand",
        ours(wire),
        ours(wire) + ours(wire),
        ours(wire, "POST /v2/sandboxes HTTP/1.1", "Content-Length: 9") + b"{",
        ours(wire, "POST /v2/sandboxes HTTP/1.1", "Expect: 100-continue", "Content-Length: 9"),
        _start(talker, YES.replace(b"/usr/bin/yes", b"/bin/true///")),
        _start(talker, SLEEP)[:-3],
        into(talker, "POST /files?path=half HTTP/1.1", "Content-Length: 9") + b"x",
        into(talker, "GET /files?path=/etc/passwd HTTP/1.1"),
        into(talker, "GET / HTTP/1.1", port=8199),
        into(talker, "GET /echo HTTP/1.1", port=PORT),
        into(talker, "GET /never HTTP/1.1", port=PORT),
        into(talker, "POST /never HTTP/1.1", "Content-Length: 9", port=PORT) + b"x",
        into(
            talker, "POST /never HTTP/1.1", "Expect: 100-continue", "Content-Length: 9", port=PORT
        ),
        into(
            talker, "POST /refuse HTTP/1.1", "Expect: 100-continue", "Content-Length: 9", port=PORT
        ),
        into(talker, "GET /flood HTTP/1.1", port=PORT),
        into(talker, "GET /events HTTP/1.1", port=PORT) * 2,
        into(talker, "GET /upgrade HTTP/1.1", *upgrade, port=PORT),
        into(talker, "GET /pour HTTP/1.1", *upgrade, port=PORT),
        into(talker, "GET /never HTTP/1.1", *upgrade, port=PORT) + b"early",
        b"\x00nonsense\r\n\r\n",
    ]
    before = descriptors(service.pid)
    for number in range(1000):
        phase = phases[number % len(phases)]
        with dial(wire) as connection:
            connection.sendall(phase)
            if number // len(phases) % 3 == 1:
                time.sleep(0.01)
            if number // len(phases) % 3 == 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    until(lambda: descriptors(service.pid) <= before, 20)
    assert wire.run(talker, "echo hi") == b"hi\n"


def test_the_service_ends_quickly_whoever_still_talks_to_it(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(served(tmp_path, "--disk", "256M", "--template", "base"))
        wire = Wire(serving.url, serving.key)
        made = with_talker(wire)
        upgrade = ("Connection: upgrade", "Upgrade: echo")
        for data in (
            b"",
            b"GET /",
            ours(wire),
            ours(wire, "POST /v2/sandboxes HTTP/1.1", "Content-Length: 9") + b"{",
            ours(wire, "POST /v2/sandboxes HTTP/1.1", "Expect: 100-continue", "Content-Length: 9"),
            into(made, "POST /files?path=half HTTP/1.1", "Content-Length: 9") + b"x",
            _start(made, SLEEP),
            _start(made, YES),
            into(made, "GET /never HTTP/1.1", port=PORT),
            into(made, "GET /flood HTTP/1.1", port=PORT),
            into(made, "GET /upgrade HTTP/1.1", *upgrade, port=PORT),
            into(made, "GET /pour HTTP/1.1", *upgrade, port=PORT),
            ours(wire) + b"\x00\x00",
        ):
            stack.enter_context(dial(wire)).sendall(data)
        time.sleep(0.7)
        began = time.monotonic()
        os.kill(serving.pid, signal.SIGTERM)
        until(lambda: _is_over(serving.pid))
        assert time.monotonic() - began < 8
        is_calm(serving)


def _is_over(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
