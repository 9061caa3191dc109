"""`--network` opens the internet, and nothing of the host: real services, real attempts."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.security.another_machine import GREETING_PORT, another_machine
from tests.security.probing import Probe

pytestmark = pytest.mark.crossed

METADATA, NEIGHBOUR, ROUTER = "169.254.169.254", "10.213.77.2", "10.213.77.1"
IS_ROOT = os.geteuid() == 0
# The tun device as most systems have it; where it is root's alone, in a mount namespace of ours.
TUN_FOR_ALL = """
mount -t tmpfs -o mode=755 tun /dev/net && mknod -m 666 /dev/net/tun c 10 200 &&
chmod 666 /dev/net/tun && exec "$@"
"""
CONNECT = """
import json, socket, struct, sys, time
from concurrent.futures import ThreadPoolExecutor
def attempt(word, how):
    address, port = word.rsplit(":", 1)
    with socket.socket() as s:
        s.settimeout(2)
        started = time.monotonic()
        try:
            if how == "bound":
                s.setsockopt(socket.SOL_SOCKET, 25, b"tap0\\0")  # SO_BINDTODEVICE
            elif how == "index":
                s.setsockopt(socket.IPPROTO_IP, 50, struct.pack("!I", 2))  # IP_UNICAST_IF
            s.connect((address, int(port)))
            said = s.recv(100).decode()
        except OSError as error:
            said = type(error).__name__
        return [said, time.monotonic() - started]
asked = [(word, how) for word in %r for how in %r]
with ThreadPoolExecutor(len(asked)) as together:
    answers = together.map(lambda pair: attempt(*pair), asked)
names = [f"{how} {word.rsplit(':', 1)[0]}" for word, how in asked]
print(json.dumps(dict(zip(names, answers))))
"""


def _connect(*targets: str, ways: tuple[str, ...] = ("plain", "bound", "index")) -> str:
    return CONNECT % (list(targets), list(ways))


def able_to_go_online(probe: Probe) -> Probe:
    """A prober whose account can use slirp4netns; skips where there is none."""
    if shutil.which("slirp4netns") is None:
        pytest.skip("slirp4netns is not installed")
    if not Path("/dev/net/tun").exists():
        pytest.skip("there is no /dev/net/tun here")
    if probe.account == "user" and Path("/dev/net/tun").stat().st_mode & 0o006 != 0o006:
        if not IS_ROOT:
            pytest.skip("/dev/net/tun is root's alone")
        prefix = ("unshare", "-m", "sh", "-c", TUN_FOR_ALL, "sh", *probe.prefix)
        return dataclasses.replace(probe, prefix=prefix)
    return probe


@pytest.fixture(scope="module")
def online(probe: Probe) -> Probe:
    return able_to_go_online(probe)


def _greet(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            with listener.accept()[0] as connection:
                connection.sendall(b"reached")


@pytest.fixture(scope="module")
def host_port() -> Iterator[int]:
    """A service of the host on every address it has."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        threading.Thread(target=_greet, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def neighbour() -> Iterator[int]:
    """Another machine, near enough: at NEIGHBOUR, and at METADATA as a cloud would have it."""
    with another_machine(ROUTER, NEIGHBOUR, METADATA):
        yield GREETING_PORT


def _own_address() -> str | None:
    """The host's address on its network, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.200", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


def test_another_machine_is_reached_with_the_option_alone(online: Probe, neighbour: int) -> None:
    code = _connect(f"{NEIGHBOUR}:{neighbour}", ways=("plain",))
    assert online(code, network="internet").answer[f"plain {NEIGHBOUR}"][0] == "reached"
    assert online(code).answer[f"plain {NEIGHBOUR}"][0] == "OSError"


def test_the_host_is_out_of_reach_by_every_name(
    online: Probe, host_port: int, neighbour: int
) -> None:
    names = ["127.0.0.1", "127.1.2.3", "0.0.0.0", ROUTER, *filter(None, [_own_address()])]
    targets = [f"{name}:{host_port}" for name in names]
    outside = online.outside(_connect(*targets, ways=("plain",)))
    assert {said for said, _ in outside.values()} == {"reached"}
    aliases = [f"{name}:{host_port}" for name in ("10.0.2.2", "10.0.2.3", "255.255.255.255")]
    inside = online(_connect(*targets, *aliases), network="internet", timeout=120).answer
    assert {said for said, _ in inside.values()} <= {
        "OSError",
        "ConnectionRefusedError",
        "PermissionError",
        "TimeoutError",
    }
    assert inside[f"plain {ROUTER}"][1] < 1  # and not when it is given up


def test_metadata_services_are_out_of_reach_and_say_so_at_once(
    online: Probe, neighbour: int
) -> None:
    target = f"{METADATA}:{neighbour}"
    assert online.outside(_connect(target, ways=("plain",)))[f"plain {METADATA}"][0] == "reached"
    inside = online(_connect(target), network="internet").answer
    assert "reached" not in {said for said, _ in inside.values()}
    assert inside[f"plain {METADATA}"][1] < 1


def test_ipv6_leads_nowhere_but_to_itself(online: Probe) -> None:
    report = online(
        """
        import json, socket
        def attempt(address):
            with socket.socket(socket.AF_INET6) as s:
                s.settimeout(2)
                try:
                    s.connect((address, 80))
                except OSError as error:
                    return error.errno
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as own:
            with socket.create_connection(own.getsockname()[:2], timeout=2):
                addresses = ["fd00:ec2::254", "fe80::1", "2001:db8::1", "fd00::2"]
                print(json.dumps([attempt(address) for address in addresses]))
        """,
        network="internet",
    )
    assert set(report.answer) <= {22, 99, 101, 113}  # EINVAL EADDRNOTAVAIL ENETUNREACH EHOSTUNREACH


MULTICAST = """
import json, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    try:
        if {bound}:
            s.setsockopt(socket.SOL_SOCKET, 25, b"tap0\\0")
        s.sendto(b"hello", ("239.213.77.1", {port}))
        print(json.dumps("sent"))
    except OSError as error:
        print(json.dumps(str(error)))
"""


def test_multicast_does_not_get_out(online: Probe) -> None:
    """A socket bound to the interface does send it, whatever the routes say."""
    if _own_address() is None:
        pytest.skip("this machine has no network to send multicast on")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("239.213.77.1", 0))
        member = socket.inet_aton("239.213.77.1") + socket.inet_aton(_own_address() or "")
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        listener.settimeout(0.5)
        port = listener.getsockname()[1]
        assert online.outside(MULTICAST.format(bound=False, port=port)) == "sent"
        assert listener.recv(100) == b"hello"
        online(MULTICAST.format(bound=True, port=port), network="internet")
        with pytest.raises(TimeoutError):
            listener.recv(100)


CHANGES = """
import json, socket, struct
kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
def ask(kind, body, flags):
    kernel.send(struct.pack("=IHHII", 16 + len(body), kind, flags | 5, 1, 0) + body)
    return -struct.unpack_from("=i", kernel.recv(65536), 16)[0]
route = struct.pack("=BBBBBBBBI", 2, 16, 0, 0, 254, 4, 0, 7, 0)
route += struct.pack("=HH4s", 8, 1, bytes([169, 254, 0, 0]))
link = struct.pack("=BxHiII", 0, 0, 1, 0, 1)
new_link = struct.pack("=BxHiIIHH4s", 0, 0, 0, 0, 0, 8, 3, b"dum")
address = struct.pack("=BBBBIHH4s", 2, 24, 0, 0, 2, 8, 2, bytes([169, 254, 169, 1]))
rule = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 0, 0, 1, 0)
neighbour = struct.pack("=BxxxiHBBHH4s", 2, 2, 128, 0, 0, 8, 1, bytes([169, 254, 169, 254]))
asked = [(25, route, 0), (24, route, 0x400), (16, link, 0), (16, new_link, 0x600),
         (20, address, 0x600), (32, rule, 0x600), (28, neighbour, 0x600)]
found = {"changes": [ask(*words) for words in asked], "settings": [], "sockets": []}
for name in ("ip_forward", "conf/all/route_localnet", "ping_group_range"):
    try:
        with open("/proc/sys/net/ipv4/" + name, "r+") as file:
            file.write(file.read())
    except OSError as error:
        found["settings"].append(error.errno)
KINDS = "2 3 1, 2 3 255, 10 3 58, 17 3 768, 17 2 768, 40 1 0, 16 3 12"
for kind in KINDS.split(","):
    try:
        socket.socket(*map(int, kind.split())).close()
    except OSError as error:
        found["sockets"].append(error.errno)
print(json.dumps(found))
"""


def test_nothing_of_its_network_can_be_changed_and_raw_sockets_are_refused(online: Probe) -> None:
    found = online(CHANGES, network="internet").answer
    not_permitted, not_supported = 1, 93
    assert set(found["changes"]) == {not_permitted}
    assert len(found["settings"]) == 3
    assert set(found["settings"]) <= {not_permitted, 13, 30}
    assert found["sockets"] == [not_permitted] * 6 + [not_supported]  # netlink's
    if online.account == "root":  # the probe itself: whoever owns the network may
        done = subprocess.run(
            ["unshare", "-n", online.python, "-c", CHANGES], capture_output=True, check=True
        )
        assert not_permitted not in json.loads(done.stdout)["changes"]
