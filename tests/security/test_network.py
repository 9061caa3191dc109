"""Without a network nothing but the sandbox's own loopback answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from textwrap import dedent

import pytest

from tests.security.probing import Probe, Weak

pytestmark = pytest.mark.crossed

_CONNECT = """
import json, socket
where = json.load(open("where.json"))
reached = []
def attempt(name, family, kind, address):
    with socket.socket(family, kind) as s:
        s.settimeout(0.5)
        try:
            if kind == socket.SOCK_DGRAM:
                s.sendto(b"ping", address)
                s.recv(10)
            else:
                s.connect(address)
        except OSError:
            return
        reached.append(name)
attempt("tcp4", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", where["tcp4"]))
attempt("tcp6", socket.AF_INET6, socket.SOCK_STREAM, ("::1", where["tcp6"]))
attempt("mapped", socket.AF_INET6, socket.SOCK_STREAM, ("::ffff:127.0.0.1", where["tcp4"]))
attempt("any", socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", where["tcp4"]))
attempt("udp4", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", where["udp4"]))
attempt("abstract", socket.AF_UNIX, socket.SOCK_STREAM, "\\0" + where["abstract"])
attempt("path", socket.AF_UNIX, socket.SOCK_STREAM, where["path"])
attempt("host path", socket.AF_UNIX, socket.SOCK_STREAM, "/mnt" + where["path"])
for host in where["hosts"]:
    attempt(host, socket.AF_INET, socket.SOCK_STREAM, (host, where["tcp4"]))
print(json.dumps(reached))
"""


@dataclass(frozen=True)
class Host:
    """Listening sockets of the host, each of another kind."""

    where: str


def _echo(listener: socket.socket) -> None:
    with suppress(OSError):
        while peer := listener.recvfrom(10)[1]:  # None once it is shut down
            listener.sendto(b"pong", peer)


@pytest.fixture
def host(probe: Probe) -> Iterator[Host]:
    path = str(probe.directory / "host.socket")
    abstract = f"e2brun-probe-{id(probe)}"
    tcp4 = socket.create_server(("127.0.0.1", 0))
    tcp6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
    udp4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp4.bind(("127.0.0.1", 0))
    by_path, by_name = (socket.socket(socket.AF_UNIX) for _ in range(2))
    by_path.bind(path)
    (probe.directory / "host.socket").chmod(0o777)
    by_name.bind("\0" + abstract)
    sockets = (tcp4, tcp6, udp4, by_path, by_name)
    for listener in (by_path, by_name):
        listener.listen()
    threading.Thread(target=_echo, args=(udp4,), daemon=True).start()
    where = {
        "tcp4": tcp4.getsockname()[1],
        "tcp6": tcp6.getsockname()[1],
        "udp4": udp4.getsockname()[1],
        "abstract": abstract,
        "path": path,
        "hosts": ["127.0.0.2", "10.0.2.2", "169.254.169.254"],
    }
    yield Host(json.dumps(where))
    for listener in sockets:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    (probe.directory / "host.socket").unlink()


def test_no_socket_of_the_host_is_reached(probe: Probe, host: Host) -> None:
    files = {"where.json": host.where}
    assert probe(_CONNECT, files=files).answer == []
    weak = Weak(add=("--ro-bind", "/", "/mnt"))
    assert probe(_CONNECT, files=files, weak=weak).answer == ["host path"]
    # In the caller's network, which is no option of bwrap's:
    where = f"json.loads({host.where!r})"
    reached = probe.outside(_CONNECT.replace('json.load(open("where.json"))', where))
    assert {"tcp4", "tcp6", "mapped", "any", "udp4", "abstract"} <= set(reached)


def test_there_is_no_interface_but_loopback(probe: Probe) -> None:
    code = """
    import json, socket
    print(json.dumps([name for _, name in socket.if_nameindex()]))
    """
    assert probe(code).answer == ["lo"]
    if len(socket.if_nameindex()) > 1:
        assert len(probe.outside(code)) > 1


def test_nothing_outside_can_be_looked_up_or_reached(probe: Probe) -> None:
    code = """
    import json, socket
    from contextlib import closing
    reached = []
    for host in ("192.0.2.1", "8.8.8.8", "169.254.169.254", "example.com", "2001:db8::1"):
        try:
            with closing(socket.create_connection((host, 53), timeout=1)):
                reached.append(host)
        except OSError as error:
            reached.append(type(error).__name__) if "imed out" in str(error) else None
    print(json.dumps(reached))
    """
    # Unreachable at once, not after a time: there is no route.
    assert probe(code).answer == []


def test_two_sandboxes_do_not_reach_each_other(probe: Probe) -> None:
    listen = """
    import socket, time
    s = socket.create_server(("127.0.0.1", 45454))
    u = socket.socket(socket.AF_UNIX); u.bind("\\0e2brun-neighbour"); u.listen()
    open("/tmp/neighbour", "w").write("x")
    time.sleep(2)
    """
    visit = """
    import json, os, socket
    reached = []
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", 45454)), (socket.AF_UNIX, "\\0e2brun-neighbour"),
    ):
        with socket.socket(family) as s:
            if s.connect_ex(address) == 0:
                reached.append(str(address))
    reached += os.listdir("/tmp")
    print(json.dumps(reached))
    """
    neighbour = threading.Thread(target=probe, args=(listen,))
    neighbour.start()
    try:
        assert probe(visit).answer == []
        # In one and the same sandbox, the listener is found.
        both = "import threading, time\n" + "threading.Thread(target=lambda: exec(L)).start()\n"
        both += "time.sleep(0.5)\nexec(V)\n"
        code = f"L = {dedent(listen)!r}\nV = {dedent(visit)!r}\n{both}"
        assert len(probe(code).answer) == 3
    finally:
        neighbour.join()
