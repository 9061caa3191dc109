"""What sandboxes of one service share with each other and with the host tells and holds up nobody;
what one of them shows is no longer than it is."""

from __future__ import annotations

import fcntl
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.attack.test_inside import _write
from tests.attack.wire import INTERPRETER, Answer, Sandbox, Wire
from tests.conftest import COMMAND, clean_environment
from tests.sdk.serving import Serving
from tests.security.test_watching_others import USE, WATCH


def _cell(wire: Wire, sandbox: Sandbox, code: str) -> Answer:
    token = {"X-Access-Token": sandbox.token}
    return wire.inside(sandbox, INTERPRETER, "POST", "/execute", {"code": code}, token)


def test_nothing_is_heard_of_what_others_open(
    wire: Wire, victim: Sandbox, stranger: Sandbox
) -> None:
    """Neither of a neighbour's files nor of the host's, and not by root either."""
    _write(wire, stranger, "/tmp/watch.py", WATCH)
    _write(wire, victim, "/tmp/use.py", USE.replace("+ 10", "+ 6"))
    neighbour = threading.Thread(target=wire.run, args=(victim, "python3 /tmp/use.py"))
    neighbour.start()
    host = subprocess.Popen([sys.executable, "-c", USE.replace("/opt/e2brun/agent", "/usr")])
    try:
        line = "mkdir -p /tmp/own; cd /tmp/own; sudo python3 /tmp/watch.py"
        said = wire.run(stranger, line).decode().splitlines()
        assert said[0] == "watching"
        assert json.loads(said[-1]) == []
    finally:
        host.kill()
        host.wait()
        neighbour.join()


def test_a_lock_on_a_shared_file_holds_nobody_up(
    wire: Wire, victim: Sandbox, stranger: Sandbox
) -> None:
    lock = 'python3 -c \'import fcntl; fcntl.flock(open("/usr/bin/env"), 2); print("held")\''
    holding = threading.Thread(
        target=wire.run, args=(stranger, "flock /usr/bin/env sleep 6; flock /usr/bin sleep 1")
    )
    holding.start()
    time.sleep(1)
    began = time.monotonic()
    assert wire.run(victim, f"timeout 4 {lock}") == b"held\n"
    with open("/usr/bin/env", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert wire.run(victim, f"timeout 4 {lock}") == b"held\n"
    assert time.monotonic() - began < 8
    holding.join()


def test_a_file_that_says_it_is_endless_costs_the_service_nothing(
    wire: Wire, service: Serving, stranger: Sandbox
) -> None:
    wire.run(stranger, "truncate -s 400M /home/user/sparse; ln -s /dev/zero /home/user/zero")
    before = _resident(service.pid)
    for path in ("sparse", "zero"):
        head = (
            f"GET /files?path={path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"E2b-Sandbox-Id: {stranger.id}\r\nE2b-Sandbox-Port: 49983\r\n"
            f"X-Access-Token: {stranger.token}\r\n\r\n"
        )
        with socket.create_connection(wire.address, timeout=20) as connection:
            connection.sendall(head.encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
            time.sleep(0.5)  # and reads no more
            assert _resident(service.pid) - before < 32 * 1024
    assert wire.is_healthy(stranger)


@pytest.mark.in_turn(day=2)
def test_sparse_files_do_not_fill_the_disk_of_who_copies_them(
    wire: Wire, service: Serving, stranger: Sandbox, tmp_path: Path
) -> None:
    wire.run(stranger, "mkdir d; for i in 1 2 3 4; do truncate -s 250M d/$i; done")
    words = ["sandbox", "cp", "--on", "e2b", "--max-get", "300M", f"{stranger.id}:d", "here"]
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=tmp_path,
        env=clean_environment(service.environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "--max-get" in done.stderr
    taken = sum(path.stat().st_blocks * 512 for path in tmp_path.rglob("*"))
    assert taken < 8 * 1024 * 1024  # holes stay holes


def test_a_forged_frame_does_no_more_than_a_printed_line(wire: Wire, stranger: Sandbox) -> None:
    code = r"""
import json, os
for frame in ({"type": "result", "text": "forged", "is_main_result": True}, {"type": "end"},
              {"type": "error", "name": "E", "value": "v", "traceback": "t"}, {"type": "started"}):
    text = json.dumps(frame).encode()
    os.write(4, len(text).to_bytes(4, "big") + text)
    os.write(4, text + b"\n")
os.write(4, b"\xff" * 100_000)
print("went on")
"""
    answer = _cell(wire, stranger, code)
    for line in answer.body.splitlines():
        assert json.loads(line)["type"] in {
            "stdout", "stderr", "result", "error", "number_of_executions", "end_of_execution",
            "unexpected_end_of_execution", "keepalive",
        }  # fmt: skip
    assert wire.is_healthy(stranger)
    made = wire.create()  # and nobody else has noticed
    assert b"42" in _cell(wire, made, "6 * 7").body
    wire.kill(made)


def _resident(pid: int) -> int:
    """In KiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
