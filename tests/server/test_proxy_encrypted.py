"""Ports whose programs speak TLS (`httpsPorts`): reached all the same, and nothing is left over."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from tests.attack.wire import Sandbox, Wire
from tests.sdk.serving import Serving
from tests.server.talking import OCTETS, PORT, SIX, TALKER, exactly, is_calm, is_reset, upgraded
from tests.waiting import until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs a certificate")

_KEY = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=x 2>&1"
_FRONT = b"""import socket, ssl, sys, threading
sys.path.insert(0, "/tmp")
import talker
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("c.pem", "k.pem")
def plain():
    while True:
        with other.accept()[0] as connection:
            connection.sendall(b"HTTP/1.0 400 What?\\r\\n\\r\\n")
other = socket.create_server(("127.0.0.1", int(sys.argv[2])))
threading.Thread(target=plain, daemon=True).start()
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        connection = context.wrap_socket(listener.accept()[0], server_side=True)
        threading.Thread(target=talker.quiet, args=(connection,), daemon=True).start()
"""


@pytest.fixture
def secretive(wire: Wire) -> Sandbox:
    """A sandbox in which the talker speaks TLS on PORT, and somebody plain HTTP on SIX."""
    made = wire.create(network={"httpsPorts": [PORT, SIX]})
    for name, text in (("talker", TALKER.read_bytes()), ("front", _FRONT)):
        wire.envd(made, "POST", f"/files?path=/tmp/{name}.py", text, OCTETS)
    wire.run(made, _KEY)
    wire.run(made, f"python3 /tmp/front.py {PORT} {SIX} >/tmp/said 2>&1 & disown")
    until(lambda: wire.inside(made, PORT, "GET", "/seen/gone").status == 200)
    return made


def _open_files(serving: Serving) -> int:
    return len(list(Path(f"/proc/{serving.pid}/fd").iterdir()))


def test_bodies_and_tunnels_go_through_tls(
    wire: Wire, secretive: Sandbox, service: Serving
) -> None:
    before = _open_files(service)
    data = os.urandom(3_000_000)
    digest = hashlib.sha256(data).hexdigest()
    answer = wire.inside(secretive, PORT, "POST", "/count", data)
    assert answer.body == f"{len(data)} {digest}".encode()
    for _ in range(60):
        wire.inside(secretive, PORT, "GET", "/echo")
    with upgraded(wire, secretive) as connection:
        connection.sendall(b"again")
        assert exactly(connection, 10) == b"helloagain"
    # Sandboxes that are made ahead meanwhile have some, too.
    until(lambda: _open_files(service) < before + 50)
    is_calm(service)


def test_a_program_without_tls_is_told_apart(wire: Wire, secretive: Sandbox) -> None:
    answer = wire.inside(secretive, SIX, "GET", "/seen/gone")
    assert (answer.status, answer.json()["code"]) == (502, 502)
    assert "TLS" in answer.json()["message"]
    closed = wire.inside(secretive, 1, "GET", "/")
    assert closed.json()["message"] == "The sandbox is running but port is not open"


def test_a_sandbox_that_goes_takes_its_encrypted_connections_with_it(
    wire: Wire, secretive: Sandbox, service: Serving
) -> None:
    with upgraded(wire, secretive) as connection:
        wire.kill(secretive)
        assert is_reset(connection)
    until(lambda: wire.inside(secretive, PORT, "GET", "/").status == 502)
    is_calm(service)
