"""Programs that print without end: they wait, and the service does not grow."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2brun.sandbox.local.host.subscriptions import Subscription
from tests.attack.wire import ENVD, INTERPRETER, Sandbox, Wire, envelope, envelopes
from tests.sdk.serving import Serving, served
from tests.server.talking import resident

_MIB = 1024 * 1024


@pytest.fixture
def sandbox(wire: Wire) -> Iterator[Sandbox]:
    made = wire.create()
    yield made
    assert wire.is_healthy(made)
    wire.kill(made)


def _start(line: str, *, pty: bool = False) -> tuple[int, str, bytes]:
    message: dict[str, Any] = {"process": {"cmd": "/bin/bash", "args": ["-c", line]}}
    if pty:
        message["pty"] = {"size": {"cols": 80, "rows": 24}}
    return ENVD, "/process.Process/Start", envelope(json.dumps(message).encode())


def _cell(code: str) -> tuple[int, str, bytes]:
    return INTERPRETER, "/execute", json.dumps({"code": code}).encode()


def _asked(wire: Wire, sandbox: Sandbox, request: tuple[int, str, bytes]) -> socket.socket:
    """A client that has asked, and reads nothing yet."""
    port, path, body = request
    kind = "connect+json" if port == ENVD else "json"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nE2b-Sandbox-Id: {sandbox.id}\r\n"
        f"E2b-Sandbox-Port: {port}\r\nX-Access-Token: {sandbox.token}\r\n"
        f"Content-Type: application/{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(wire.address, timeout=30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(head.encode() + body)
    return connection


def _spent(pid: int) -> float:
    """Seconds of a processor."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


_ENDLESS = {
    "lines": _start("yes"),
    "a terminal": _start("yes", pty=True),
    "zeros of a cell": _cell("import os\nwhile True: os.write(1, bytes(65536))"),
    "results of a cell": _cell("while True: display('x' * 100_000)"),
}


@pytest.mark.parametrize("kind", _ENDLESS)
def test_a_client_that_does_not_read_stops_the_program_and_costs_nothing(
    wire: Wire, service: Serving, sandbox: Sandbox, kind: str
) -> None:
    before = resident(service.pid)
    with closing(_asked(wire, sandbox, _ENDLESS[kind])):
        time.sleep(1)
        spent = _spent(service.pid)
        time.sleep(1)
        assert _spent(service.pid) - spent < 0.5
        assert resident(service.pid) - before < 64 * _MIB
        assert wire.is_healthy(sandbox)


@pytest.mark.anyio
async def test_single_bytes_do_not_fill_the_queue_of_a_client_that_does_not_read() -> None:
    queue, events = Subscription(lambda: None), 0
    while not queue.full:
        queue.put({"event": {"data": {"stdout": "eA=="}}}, 4)  # in memory a thousand bytes
        events += 1
    assert events <= 1024


def test_what_nobody_follows_is_read_slowly(wire: Wire, service: Serving, sandbox: Sandbox) -> None:
    _asked(wire, sandbox, _start("yes")).close()
    time.sleep(0.5)
    assert wire.run(sandbox, "pgrep -c yes") == b"1\n"  # it goes on
    before = _spent(service.pid)
    time.sleep(3)
    assert _spent(service.pid) - before < 0.6  # of 3 s; without a pause more than 1


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    options = ("--max-output", "100k", "--output-rate", "200k", "--template", "base")
    with served(tmp_path_factory.mktemp("bounded"), *options) as serving:
        yield Wire(serving.url, serving.key)


def _printed(wire: Wire, sandbox: Sandbox, request: tuple[int, str, bytes]) -> dict[str, bytes]:
    port, path, body = request
    kind = "connect+json" if port == ENVD else "json"
    headers = {"X-Access-Token": sandbox.token, "Content-Type": f"application/{kind}"}
    answer = wire.inside(sandbox, port, "POST", path, body, headers)
    found = {"stdout": b"", "stderr": b"", "pty": b"", "result": b""}
    if port == ENVD:
        for message in envelopes(answer.body):
            for name, data in message.get("event", {}).get("data", {}).items():
                found[name] += base64.b64decode(data)
    else:
        for line in answer.body.splitlines():
            event = json.loads(line)
            if event["type"] in found:
                found[event["type"]] += event.get("text", "").encode()
    return found


_CUT = b"\n[output cut after 102400 bytes: --max-output]\n"


@pytest.mark.parametrize(
    ("stream", "request_"),
    [
        ("stdout", _start("head -c 300000 /dev/zero")),
        ("stderr", _start("head -c 300000 /dev/zero >&2")),
        ("pty", _start("yes | head -c 300000", pty=True)),
        ("stdout", _cell("print('x' * 300_000)")),
    ],
)
def test_a_total_that_was_asked_for_is_kept_and_told(
    bounded: Wire, stream: str, request_: tuple[int, str, bytes]
) -> None:
    sandbox = bounded.create()
    found = _printed(bounded, sandbox, request_)
    assert found[stream].endswith(_CUT)
    assert len(found[stream]) == 100 * 1024 + len(_CUT)
    bounded.kill(sandbox)


def test_results_past_the_total_are_left_out_and_that_is_told(bounded: Wire) -> None:
    sandbox = bounded.create()
    found = _printed(bounded, sandbox, _cell("for _ in range(9): display('x' * 30_000)"))
    assert found["result"] == b"x" * 30_000 * 3
    assert found["stderr"] == _CUT
    bounded.kill(sandbox)


@pytest.mark.parametrize(
    "request_",
    [
        _start("for i in 1 2 3 4 5; do head -c 90000 /dev/zero & done; wait"),
        _cell("import sys\nprint('x' * 99_000)\nprint('y' * 99_000, file=sys.stderr)\n"
              "for _ in range(20): display('z' * 30_000)"),
    ],
)  # fmt: skip
def test_a_rate_that_was_asked_for_is_kept(bounded: Wire, request_: tuple[int, str, bytes]) -> None:
    sandbox = bounded.create()
    began = time.monotonic()
    _printed(bounded, sandbox, request_)
    took = time.monotonic() - began
    assert 1.5 < took < 15  # 450,000 bytes, and 800,000, at 204,800 a second
    bounded.kill(sandbox)
