"""One sandbox never reaches another, nor the service that keeps both."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.attack.wire import Sandbox, Wire
from tests.sdk.serving import descendants, served, survivors


def test_files_and_processes_of_a_neighbour_are_not_seen(
    wire: Wire, victim: Sandbox, stranger: Sandbox
) -> None:
    body = {"Content-Type": "application/octet-stream"}
    wire.envd(victim, "POST", "/files?path=/tmp/of-the-victim", b"secret", body)
    assert b"of-the-victim" not in wire.run(stranger, "find / -name 'of-the-*' 2>/dev/null")
    wire.run(victim, "sleep 77 >/dev/null 2>&1 & disown")
    assert b"sleep 77" in wire.run(victim, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert b"sleep 77" not in wire.run(stranger, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    wire.run(stranger, "kill -9 -1")
    assert b"sleep 77" in wire.run(victim, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_a_port_of_a_neighbour_is_not_reached(
    wire: Wire, victim: Sandbox, stranger: Sandbox
) -> None:
    wire.run(victim, "python3 -m http.server 8077 >/dev/null 2>&1 & sleep 0.7")
    assert wire.inside(victim, 8077, "GET", "/").status == 200
    assert wire.inside(stranger, 8077, "GET", "/").status == 502
    line = "python3 -c \"import socket; socket.create_connection(('127.0.0.1', 8077), 1)\""
    assert b"no" in wire.run(stranger, f"{line} 2>/dev/null || echo no")


def test_the_key_and_the_tokens_are_nowhere_inside(
    wire: Wire, victim: Sandbox, stranger: Sandbox
) -> None:
    found = wire.run(
        victim,
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; env; ls -l /proc/[0-9]*/fd",
    )
    for secret in (wire.key, victim.token, stranger.token, stranger.id):
        assert secret.encode() not in found


def test_a_service_that_is_killed_takes_its_sandboxes_along(tmp_path: Path) -> None:
    with served(tmp_path) as serving:
        wire = Wire(serving.url, serving.key)
        volume = wire.api("POST", "/volumes", {"name": "kept"}).json()
        target = f"/volumecontent/{volume['volumeID']}/dir?path=/"
        asked = wire.ask("GET", target, None, {"Authorization": f"Bearer {volume['token']}"})
        assert asked.status == 200  # by a process that works on its files
        for _ in range(3):
            wire.run(wire.create(), "setsid sleep 300 >/dev/null 2>&1 & disown")
        family = descendants(serving.pid)
        assert len(family) >= 6
        os.kill(serving.pid, signal.SIGKILL)
        assert survivors(family, seconds=5) == []
