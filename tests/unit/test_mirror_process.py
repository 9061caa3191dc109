"""The process that answers sandboxes: whom it answers, for how long, and what ends it."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from e2brun.errors import SandboxLost, SandboxUnavailable
from e2brun.sandbox.contract import USUAL_ROOM
from e2brun.sandbox.local.isolation.driver import INDEX_PORT
from e2brun.sandbox.local.mirror import link
from e2brun.sandbox.local.mirror.link import Mirror
from e2brun.sandbox.local.mirror.process import AT_ONCE
from tests.indexes import Answer, Index, index_served
from tests.sdk.serving import children
from tests.waiting import until

PATIENT = 60.0
_GET = f"GET /simple/tiny/ HTTP/1.1\r\nHost: 127.0.0.1:{INDEX_PORT}\r\n\r\n".encode()


@pytest.fixture
def index() -> Iterator[Index]:
    with index_served() as running:
        running.html("/simple/tiny/", "tiny-1.0.whl")
        yield running


@pytest.fixture
def mirror(index: Index) -> Iterator[Mirror]:
    environment = {**os.environ, "UV_DEFAULT_INDEX": f"{index.url}/simple", "UV_NO_CONFIG": "1"}
    made = Mirror(environment, USUAL_ROOM)
    yield made
    made.close()


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def answered(door: socket.socket) -> bytes:
    with socket.create_connection(door.getsockname(), PATIENT) as client:
        client.sendall(_GET)
        told = b""
        while data := client.recv(65536):
            told += data
        return told


def at_work(mirror: Mirror, door: socket.socket) -> tuple[int, int]:
    """What is closed to end its work at the door, and its process, which has answered there."""
    before = children()
    life = mirror.admit(os.dup(door.fileno()))
    assert b"200" in answered(door)[:15]
    (process,) = children() - before
    return life, process


def data_of(process: int) -> int:
    """Bytes of its memory that RLIMIT_DATA is about."""
    told = Path(f"/proc/{process}/status").read_text()
    return int(told.partition("VmData:")[2].split()[0]) * 1024


def test_it_answers_until_the_sandbox_ends_and_others_after_that(
    mirror: Mirror, door: socket.socket
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        lives = [mirror.admit(os.dup(one.fileno())) for one in (door, other)]
        assert b"/files/tiny/tiny-1.0.whl" in answered(door)
        os.close(lives[0])

        def refused() -> bool:
            try:
                socket.create_connection(door.getsockname(), 5).close()
            except OSError:
                return True
            return False

        until(refused)
        assert b"/files/tiny/tiny-1.0.whl" in answered(other)
        os.close(lives[1])


@pytest.mark.parametrize("odd", ["pipe", "datagram", "unix"])
def test_what_is_no_socket_of_the_loopbacks_is_not_taken(mirror: Mirror, odd: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    if odd == "pipe":
        given, other = os.pipe()
        os.close(other)
    else:
        family = socket.AF_INET if odd == "datagram" else socket.AF_UNIX
        kind = socket.SOCK_DGRAM if odd == "datagram" else socket.SOCK_STREAM
        given = socket.socket(family, kind).detach()
    with pytest.raises(SandboxLost):
        mirror.admit(given)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_socket_that_never_accepts_holds_nobody_else_up(
    mirror: Mirror, door: socket.socket
) -> None:
    deaf = socket.socket()  # not listening
    lives = [mirror.admit(deaf.detach()), mirror.admit(os.dup(door.fileno()))]
    os.close(lives[0])
    assert b"200" in answered(door)[:15]
    os.close(lives[1])


def test_what_lies_in_the_working_directory_is_not_imported(
    mirror: Mirror, door: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("h11", "httpx", "select"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    life = mirror.admit(os.dup(door.fileno()))
    assert b"200" in answered(door)[:15]
    os.close(life)


def test_its_memory_is_bounded_and_no_terminal_s_signal_reaches_it(
    mirror: Mirror, door: socket.socket
) -> None:
    life, process = at_work(mirror, door)
    assert resource.prlimit(process, resource.RLIMIT_DATA) == (1 << 30, 1 << 30)
    soft, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
    assert soft == hard
    assert os.getsid(process) == process
    own = Path(f"/proc/{process}")
    assert {os.readlink(own / f"fd/{number}") for number in range(3)} == {"/dev/null"}
    room = USUAL_ROOM.layer, USUAL_ROOM.layer // 4  # in all, and one archive
    assert (own / "cmdline").read_text().split("\0")[-3:-1] == [*map(str, room)]
    ends = [line.split()[0].split("-") for line in (own / "maps").read_text().splitlines()]
    assert 512 * 1024 in [int(end, 16) - int(start, 16) for start, end in ends]  # a thread's stack
    threads = len(os.listdir(own / "task"))
    os.close(life)
    until(lambda: len(os.listdir(own / "task")) < threads)  # who answered at the door


def test_it_answers_again_when_descriptors_can_be_had_again(
    mirror: Mirror, door: socket.socket
) -> None:
    life, process = at_work(mirror, door)
    limits = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (3, limits[1]))
    with socket.create_connection(door.getsockname(), PATIENT) as client:
        time.sleep(0.3)  # it tries
        resource.prlimit(process, resource.RLIMIT_NOFILE, limits)
        client.sendall(_GET)
        assert b"200" in client.recv(15)
    os.close(life)


def test_it_answers_again_when_there_is_memory_again(mirror: Mirror, door: socket.socket) -> None:
    """What pages take for a moment is no other sandbox's end."""
    life, process = at_work(mirror, door)
    limits = resource.prlimit(process, resource.RLIMIT_DATA)
    resource.prlimit(process, resource.RLIMIT_DATA, (data_of(process) + 256 * 1024, limits[1]))
    with ExitStack() as stack:
        another = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for _ in range(3):  # a thread that has ended may have left its memory for one of them
            client = socket.create_connection(door.getsockname(), PATIENT)
            stack.enter_context(client)
        life_of_another = mirror.admit(os.dup(another.fileno()))
        time.sleep(0.3)  # it tries
        resource.prlimit(process, resource.RLIMIT_DATA, limits)
        client.sendall(_GET)
        assert b"200" in client.recv(15)
        assert b"200" in answered(another)[:15]
    os.close(life)
    os.close(life_of_another)


def test_one_that_is_stopped_is_killed(
    mirror: Mirror, door: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_END_SECONDS", 0.1)
    before = children()
    os.close(mirror.admit(os.dup(door.fileno())))
    (process,) = children() - before
    os.kill(process, signal.SIGSTOP)
    mirror.close()
    assert process not in children()


def test_no_descriptor_stays_open(
    mirror: Mirror, door: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.close(mirror.admit(os.dup(door.fileno())))
    before = len(os.listdir("/proc/self/fd"))
    os.close(mirror.admit(os.dup(door.fileno())))
    assert len(os.listdir("/proc/self/fd")) == before
    mirror.close()
    monkeypatch.setattr(sys, "executable", "/nowhere")
    with pytest.raises(SandboxUnavailable, match="--network packages"):
        mirror.admit(os.dup(door.fileno()))
    mirror.close()
    assert len(os.listdir("/proc/self/fd")) < before


def test_a_sandbox_has_so_many_requests_at_once_and_the_others_wait(
    mirror: Mirror, door: socket.socket, index: Index
) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    class Held:
        def __iter__(self) -> Iterator[bytes]:
            begun.release()
            go_on.wait(PATIENT)
            return iter([b"<a href=x-1.0.whl></a>"])

    index.pages["/simple/tiny/"] = Answer(Held(), "text/html")
    life = mirror.admit(os.dup(door.fileno()))
    told: list[bytes] = []
    askers = [threading.Thread(target=lambda: told.append(answered(door))) for _ in range(20)]
    for asker in askers:
        asker.start()
    assert all(begun.acquire(timeout=PATIENT) for _ in range(AT_ONCE))
    assert not begun.acquire(timeout=1)
    go_on.set()
    for asker in askers:
        asker.join(PATIENT)
    assert [b"x-1.0.whl" in page for page in told] == [True] * 20
    os.close(life)


def test_one_that_was_killed_is_followed_by_another(mirror: Mirror, door: socket.socket) -> None:
    before = children()
    first = mirror.admit(os.dup(door.fileno()))
    (process,) = children() - before
    os.kill(process, signal.SIGKILL)
    assert os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT) is not None
    second = mirror.admit(os.dup(door.fileno()))
    assert b"200" in answered(door)[:15]
    os.close(first)
    os.close(second)


def test_it_ends_with_its_owner_however_that_ends() -> None:
    code = """
import os, signal, socket
from e2brun.sandbox.contract import USUAL_ROOM
from e2brun.sandbox.local.mirror.link import Mirror
door = socket.create_server(("127.0.0.1", 0))
Mirror(None, USUAL_ROOM).admit(os.dup(door.fileno()))
me = os.getpid()
print(open(f"/proc/{me}/task/{me}/children").read(), flush=True)
os.kill(me, signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    process = int(done.stdout)

    def gone() -> bool:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"

    until(gone)
