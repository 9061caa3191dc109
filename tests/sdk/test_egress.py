"""Rules for what a sandbox may reach, with `--network`, and a machine of ours for the internet."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from e2b import InvalidArgumentException, Sandbox, SandboxException

from tests.sdk.serving import Serving, descendants, served
from tests.security.another_machine import GREETING_PORT, another_machine
from tests.waiting import until

_HERE, _ELSEWHERE, _PRIVATE = "198.51.100.2", "203.0.113.2", "10.213.78.2"
_ROUTER, _NOBODY = "198.51.100.1", "192.0.2.1"
_ALL = "0.0.0.0/0"
_WAYS = ("", "bound")
_HOSTS = f"""
127.0.0.1 localhost inner.test
{_HERE} allowed.test www.wild.test wild.test other.test
{_PRIVATE} private.test
"""
# What it is asked for first is said back: to a request, and to a client hello.
_MACHINE = f"""
import socket, threading
def serve(listener):
    while True:
        connection = listener.accept()[0]
        threading.Thread(target=talk, args=(connection,)).start()
def talk(connection):
    with connection:
        if connection.getsockname()[1] != {GREETING_PORT}:
            connection.recv(4096)
        connection.sendall(b"reached")
        connection.recv(1)  # the end
for port in (80, 443, {GREETING_PORT}):
    listener = socket.create_server(("0.0.0.0", port))
    threading.Thread(target=serve, args=(listener,)).start()
print("up", flush=True)
"""
_ASK = """
import json, socket, ssl, sys
def hello(name):
    out = ssl.MemoryBIO()
    try:
        context = ssl.create_default_context()
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
def ask(address, port, how):
    with socket.socket() as s:
        s.settimeout(10)
        if how == "bound":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tap0\\0")
        try:
            s.connect((address, port))
            if port == 80:
                s.sendall(f"GET / HTTP/1.1\\r\\nHost: {how}\\r\\n\\r\\n".encode())
            elif port == 443:
                s.sendall(hello(how))
            return s.recv(100).decode()
        except OSError as error:
            return type(error).__name__
print(json.dumps([ask(*each) for each in json.loads(sys.argv[1])]))
"""
_CHANGE = """
import socket, struct
kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
"""


@pytest.fixture(scope="module")
def internet() -> Iterator[None]:
    if shutil.which("slirp4netns") is None or not Path("/dev/net/tun").exists():
        pytest.skip("--network needs slirp4netns and /dev/net/tun")
    with another_machine(_ROUTER, _HERE, _ELSEWHERE, _PRIVATE, code=_MACHINE):
        yield


@pytest.fixture(scope="module")
def online(internet: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A service that knows names of that machine."""
    directory = tmp_path_factory.mktemp("online")
    (directory / "hosts").write_text(_HOSTS)
    line = f'mount --bind {directory}/hosts /etc/hosts && exec "$@"'
    prefix = ("unshare", "-m", "sh", "-c", line, "sh")
    with served(directory, "--network", "--template", "base", prefix=prefix) as serving:
        try:
            _sandbox(serving, network={"deny_out": [_ALL]}).kill()
        except SandboxException as error:
            if "cannot be kept here" in str(error):
                pytest.skip(str(error))
            raise
        yield serving
    assert "Traceback" not in serving.log.read_text()


@pytest.fixture
def create(online: Serving) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def create(**options: Any) -> Any:
        made.append(_sandbox(online, **options))
        made[-1].files.write("ask.py", _ASK)
        return made[-1]

    yield create
    for sandbox in made:
        sandbox.kill()


def _sandbox(service: Serving, **options: Any) -> Any:
    where: Any = {"api_url": service.url, "sandbox_url": service.url, "api_key": service.key}
    return Sandbox.create("base", timeout=300, **where, **options)


def _reached(sandbox: Any, *targets: tuple[str, int, str], user: str = "user") -> list[bool]:
    line = f"python3 /home/user/ask.py '{json.dumps(targets)}'"
    return [said == "reached" for said in json.loads(sandbox.commands.run(line, user=user).stdout)]


def _greeting(address: str, how: str = "") -> tuple[str, int, str]:
    return address, GREETING_PORT, how


def _network(sandbox: Any) -> str:
    """Its network namespace: "net:[4026531840]"."""
    return str(sandbox.commands.run("readlink /proc/self/ns/net").stdout.strip())


def _uplinks(service: Serving) -> dict[str, int]:
    """The slirp4netns of its sandboxes, each by the namespace that it serves."""
    found: dict[str, int] = {}
    for pid in descendants(service.pid):
        with suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text() == "slirp4netns\n":
                links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
                found |= {link: pid for link in links if link.startswith("net:[")}
    return found


def _held(service: Serving) -> set[str]:
    """The namespaces that it and its processes live in, or hold open."""
    found: set[str] = set()
    for pid in (service.pid, *descendants(service.pid)):
        for kind in ("fd", "ns"):
            with suppress(OSError):
                found |= {str(link.readlink()) for link in Path(f"/proc/{pid}/{kind}").iterdir()}
    return found


def _opened(service: Serving, network: str) -> int:
    """A descriptor of a namespace that its processes live in."""
    for pid in descendants(service.pid):
        with suppress(OSError):
            descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            if str(Path(f"/proc/self/fd/{descriptor}").readlink()) == network:
                return descriptor
            os.close(descriptor)
    raise LookupError(network)


def test_a_create_finds_a_sandbox_with_its_network_up(
    online: Serving, create: Callable[..., Any]
) -> None:
    def found() -> bool:
        ready = _uplinks(online)
        return _network(create()) in ready

    until(found, 60)
    names = [Path(f"/proc/{pid}/comm") for pid in descendants(online.pid)]
    assert "bwrap\n" not in [name.read_text() for name in names if name.exists()]


def test_root_and_sudo_are_there_and_reach_what_others_reach(create: Callable[..., Any]) -> None:
    sandbox = create()
    assert sandbox.commands.run("whoami; sudo whoami; sudo id -u").stdout == "user\nroot\n0\n"
    targets = [_greeting(place) for place in (_HERE, _PRIVATE, _ROUTER)]
    assert _reached(sandbox, *targets, user="root") == [True, False, False]


def test_two_sandboxes_do_not_reach_each_other(create: Callable[..., Any]) -> None:
    one, other = create(), create()
    serving = (
        'import socket; s = socket.create_server(("0.0.0.0", 9000)); print(1, flush=True)\n'
        'while True: s.accept()[0].sendall(b"reached")'
    )
    next(iter(one.commands.run(f"python3 -c '{serving}'", background=True)))
    own = ("127.0.0.1", "10.0.2.100")
    assert _reached(one, *((place, 9000, "") for place in own)) == [True, True]
    targets = [(place, 9000, "") for place in (*own, "10.0.2.2", _ROUTER)]
    assert not any(_reached(other, *targets, ("10.0.2.2", 9000, "bound")))


def test_a_sandbox_outlives_its_slirp4netns_and_reaches_nothing_then(
    online: Serving, create: Callable[..., Any]
) -> None:
    sandbox = create()
    assert _reached(sandbox, _greeting(_HERE)) == [True]
    os.kill(_uplinks(online)[_network(sandbox)], signal.SIGKILL)
    until(lambda: not any(_reached(sandbox, _greeting(_HERE))), 60)
    sandbox.update_network({"deny_out": [_ALL]})
    assert sandbox.commands.run("sudo whoami").stdout == "root\n"


def test_a_sandbox_whose_slirp4netns_died_before_it_was_asked_for_is_not_given_out(
    online: Serving, create: Callable[..., Any]
) -> None:
    used = _network(create())

    def others() -> list[int]:
        return [pid for network, pid in _uplinks(online).items() if network != used]

    def killed() -> bool:  # more of them may be on their way
        for pid in others():
            ending = os.pidfd_open(pid)
            os.kill(pid, signal.SIGKILL)
            select.select([ending], [], [], 60)  # it takes its interface down first
            os.close(ending)
        return not others()

    until(lambda: len(others()) > 1)
    until(killed, 60)
    assert [_reached(create(), _greeting(_HERE)) for _ in range(2)] == [[True], [True]]


def test_of_killed_sandboxes_no_slirp4netns_and_no_namespace_is_left(
    online: Serving, create: Callable[..., Any]
) -> None:
    made = [create(network=rules) for rules in (None, {"deny_out": [_ALL]}, None)]
    networks = {_network(sandbox) for sandbox in made}
    assert networks <= _held(online)
    with ExitStack() as stack:
        for network in networks:  # or the next sandboxes may be given the same numbers
            stack.callback(os.close, _opened(online, network))
        for sandbox in made:
            sandbox.kill()
        until(lambda: not networks & (_held(online) | set(_uplinks(online))))


def test_without_rules_the_internet_is_reached_and_private_networks_are_not(
    create: Callable[..., Any],
) -> None:
    targets = [_greeting(place) for place in (_HERE, _ELSEWHERE, _PRIVATE, _ROUTER)]
    assert _reached(create(), *targets) == [True, True, False, False]
    allowed = create(network={"allow_out": [_PRIVATE, "127.0.0.0/8", _ROUTER]})
    assert _reached(allowed, *targets) == [True, True, False, False]


def test_what_is_denied_is_not_reached_however_it_is_asked_and_what_is_allowed_is(
    create: Callable[..., Any],
) -> None:
    denied = create(network={"deny_out": ["203.0.113.0/24"]})
    ways = [_greeting(place, how) for place in (_HERE, _ELSEWHERE) for how in _WAYS]
    assert _reached(denied, *ways) == [True, True, False, False]
    alone = create(network={"allow_out": ["198.51.100.0/24"], "deny_out": [_ALL, _HERE]})
    assert _reached(alone, *ways) == [True, True, False, False]
    assert _reached(alone, *ways, user="root") == [True, True, False, False]


def test_nothing_is_looked_up_where_all_is_denied(create: Callable[..., Any]) -> None:
    ask = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5);"
        's.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"tap0");'
        's.connect(("10.0.2.3", 53)); s.send(bytes.fromhex("000101000001000000000000'
        '0474657374000001 0001")); s.recv(100)'
    )
    alone = create(network={"deny_out": [_ALL]})
    said = alone.commands.run(f"python3 -c '{ask}' 2>&1 || true").stdout
    assert "No route to host" in said or "Operation not permitted" in said  # by what sees it first


def test_rules_are_changed_while_it_runs_and_cut_off_who_was_connected(
    create: Callable[..., Any],
) -> None:
    sandbox = create()
    hold = (
        f'import socket; s = socket.create_connection(("{_HERE}", {GREETING_PORT})); s.recv(7);'
        'print(1, flush=True); input(); s.sendall(b"x"); s.settimeout(2); s.recv(1); print(2)'
    )
    held = sandbox.commands.run(f"python3 -c '{hold}'", background=True, stdin=True)
    next(iter(held))
    sandbox.update_network({"deny_out": [f"{_HERE}/32"]})
    assert sandbox.get_info().network == {"deny_out": [f"{_HERE}/32"]}
    assert _reached(sandbox, _greeting(_HERE), _greeting(_ELSEWHERE)) == [False, True]
    sandbox.commands.send_stdin(held.pid, "\n")
    with pytest.raises(SandboxException):
        held.wait()
    sandbox.update_network({"allow_internet_access": False})
    assert _reached(sandbox, _greeting(_HERE), _greeting(_ELSEWHERE)) == [False, False]
    sandbox.update_network({})
    assert _reached(sandbox, _greeting(_HERE), _greeting(_ELSEWHERE)) == [True, True]


def test_a_sandbox_without_internet_has_no_way_out_and_gets_none(
    create: Callable[..., Any],
) -> None:
    sandbox = create(allow_internet_access=False)
    names = "import socket; print([name for _, name in socket.if_nameindex()])"
    assert sandbox.commands.run(f"python3 -c '{names}'").stdout == "['lo']\n"
    assert _reached(sandbox, _greeting(_HERE)) == [False]
    with pytest.raises(SandboxException, match="without a way out"):
        sandbox.update_network({"allow_internet_access": True})


def test_a_name_is_reached_by_what_the_connection_says_and_nobody_else_is(
    create: Callable[..., Any],
) -> None:
    names = ["allowed.test", "*.wild.test", "inner.test", "private.test"]
    sandbox = create(network={"allow_out": names, "deny_out": [_ALL]})
    said = [
        "allowed.test",
        "www.wild.test",
        "wild.test",
        "other.test",
        "inner.test",
        "private.test",
    ]
    for port in (80, 443):
        targets = [(_NOBODY, port, name) for name in said]
        assert _reached(sandbox, *targets) == [True, True, False, False, False, False]
    assert _reached(sandbox, _greeting(_HERE)) == [False]
    sandbox.update_network({"allow_out": ["other.test"], "deny_out": [_ALL]})
    targets = [(_NOBODY, 80, name) for name in ("allowed.test", "other.test")]
    assert _reached(sandbox, *targets) == [False, True]


def test_what_cannot_be_kept_is_refused(create: Callable[..., Any]) -> None:
    transform = {"api.example.com": [{"transform": {"headers": {"x": "y"}}}]}
    for more in ({"rules": transform}, {"egress_proxy": {"address": "proxy.example.com:1080"}}):
        with pytest.raises((SandboxException, InvalidArgumentException), match="changes nothing"):
            create(network=more)
    many = [f"10.{number // 250}.{number % 250}.0/32" for number in range(400)]
    with pytest.raises(SandboxException, match="at most 300"):
        create(network={"deny_out": many})


@pytest.mark.parametrize("user", ["user", "root"])
def test_nobody_inside_changes_a_rule(create: Callable[..., Any], user: str) -> None:
    sandbox = create(network={"deny_out": [_ALL]})
    sandbox.files.write("change.py", _CHANGE)
    done = sandbox.commands.run("python3 /home/user/change.py 2>&1 || true", user=user)
    assert "Protocol not supported" in done.stdout  # as a kernel without it
