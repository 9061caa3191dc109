"""What the tests of the service's edge share: a program inside that talks, and rude sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from pathlib import Path

from tests.attack.wire import ENVD, Sandbox, Wire
from tests.sdk.serving import Serving
from tests.waiting import until

PORT, SIX = 8100, 8106
TALKER = Path(__file__).with_name("talker.py")
GET = "GET {} HTTP/1.1"
LONG = b"X: " + b"y" * 60_000 + b"\r\n"
OCTETS = {"Content-Type": "application/octet-stream"}


def is_calm(serving: Serving) -> None:
    """Nothing in its log that somebody would have to look into."""
    text = serving.log.read_text()
    for word in ("Traceback", "Exception", "never retrieved", "Cancel "):
        assert word not in text, text


def with_talker(wire: Wire, **fields: object) -> Sandbox:
    """A sandbox in which the talker listens, on PORT and, by IPv6 only, on SIX."""
    made = wire.create(**fields)
    wire.envd(made, "POST", "/files?path=/tmp/talker.py", TALKER.read_bytes(), OCTETS)
    for arguments in (f"{PORT}", f"{SIX} ::1"):
        wire.run(made, f"python3 /tmp/talker.py {arguments} >/tmp/said 2>&1 & disown")
    for port in (PORT, SIX):
        until(lambda: wire.inside(made, port, "GET", "/seen/gone").status == 200)  # noqa: B023
    return made


def seen(wire: Wire, sandbox: Sandbox, what: str) -> int:
    """What the talker has counted."""
    return int(wire.inside(sandbox, PORT, "GET", f"/seen/{what}").body)


def dial(wire: Wire, timeout: float = 10) -> socket.socket:
    """A connection to the service."""
    return socket.create_connection(wire.address, timeout=timeout)


def asking(sandbox: Sandbox, start: str, *lines: str, port: int = PORT) -> bytes:
    """A request to a port of the sandbox."""
    routing = ("Host: localhost", f"E2b-Sandbox-Id: {sandbox.id}", f"E2b-Sandbox-Port: {port}")
    return "\r\n".join((start, *routing, *lines, "", "")).encode("latin-1")


def ours(wire: Wire, start: str = "GET /v2/sandboxes HTTP/1.1", *lines: str) -> bytes:
    """A request to the control plane."""
    return "\r\n".join(
        (start, "Host: localhost", f"X-API-Key: {wire.key}", *lines, "", "")
    ).encode()


def into(made: Sandbox, start: str, *lines: str, port: int = ENVD) -> bytes:
    """A request to a port of the sandbox, envd's unless told, with its token."""
    routing = (f"E2b-Sandbox-Id: {made.id}", f"E2b-Sandbox-Port: {port}")
    mine = (*routing, f"X-Access-Token: {made.token}")
    return "\r\n".join((start, "Host: localhost", *mine, *lines, "", "")).encode()


def response(connection: socket.socket) -> tuple[int, bytes]:
    """One answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, response.read()


def refused(connection: socket.socket) -> int:
    """An error in E2B's shape, and the connection's end. Its status."""
    status, body = response(connection)
    document = json.loads(body)
    assert document["code"] == status >= 400
    assert document["message"]
    if status != 401:  # which is no fault of the connection
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    return status


def head_of(connection: socket.socket) -> bytes:
    """One head, not a byte more."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        assert piece, data
        data += piece
    return data


def upgraded(wire: Wire, sandbox: Sandbox, way: str = "upgrade") -> socket.socket:
    """A tunnel to the talker."""
    connection = dial(wire)
    lines = ("Connection: keep-alive, Upgrade", "Upgrade: echo")
    connection.sendall(asking(sandbox, GET.format(f"/{way}"), *lines))
    assert head_of(connection).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    return connection


def exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes."""
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece, data
        data += piece
    return data


def is_reset(connection: socket.socket) -> bool:
    """Whether that is how it ends."""
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


def descriptors(pid: int) -> int:
    """How many the process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid: int) -> int:
    """Its memory in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
