"""If hostile code ever spoke in the agent's name: the host believes little and waits briefly."""

from __future__ import annotations

import array
import asyncio
import marshal
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import pytest

from e2brun.errors import FileTransferFailed, SandboxLost
from e2brun.sandbox.contract import FileEntry
from e2brun.sandbox.local.blocking import transfer
from e2brun.sandbox.local.blocking.sandbox import LocalSandbox
from e2brun.sandbox.local.host.agent_client import AgentClient
from e2brun.sandbox.local.host.control import Control, Exited, Hello, RequestDone, RequestFailed
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.driver import Jail, Jailed, new_id
from e2brun.sandbox.local.memory.watch import MemoryWatch
from tests.security.hostile_agent import Hostile


@dataclass
class Peer:
    """The host's control, and its other end in hostile hands."""

    control: Control
    agent: socket.socket

    def says(self, message: bytes) -> None:
        self.agent.send(message)


class Kept(Hostile):
    """Starts nothing: the agent's end stays here."""

    agent: socket.socket

    def start(self, jail: Jail, control: int) -> Jailed:
        self.agent = socket.socket(fileno=os.dup(control))
        return Jailed(-1, os.open(os.devnull, os.O_RDONLY))


@pytest.fixture
def peer() -> Iterator[Peer]:
    control, driver = Control(), Kept("")
    jailed = control.start(driver, Jail(new_id(), current_interpreter()))
    driver.agent.send(b"hello")
    control.greet()
    yield Peer(control, driver.agent)
    driver.agent.close()
    control.close()
    jailed.reap()


def _talk_at(control: Control) -> None:
    for _ in range(100):
        control.request("write", data=bytes(90_000))


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    "message",
    [
        b"\xff", b"hello\0x", b"exit", b"exit\0", b"exit\0a\0b\0c\0d", b"exit\0" + b"9" * 5000,
        b"exit\0" + b"9" * 5000 + b"\x000\x000\x000\0", b"started\x001", b"done\0",
        b"done\x001\x002", b"failed\x001", b"\0" * 8192, b"{}", b"exit\x001\x001.5\x000\x000\0",
        b"x" * 100_000, b"exit\x00\xd9\xa1\xff\x000\x000\x000\0", b"exit\x001\x000\x000\x000\0x",
        b"wanted\x001\0../../x", b"wanted\x001\0-e", b"wanted\x001\0" + b"x" * 64,
    ],
)  # fmt: skip
def test_a_malformed_report_means_that_the_sandbox_is_lost(peer: Peer, message: bytes) -> None:
    peer.says(message)
    with pytest.raises(SandboxLost):
        peer.control.receive(1)


def test_reports_are_cut_to_what_they_may_say(peer: Peer) -> None:
    peer.says(b"exit\x007\x00-1\x001000\x000\0")
    assert peer.control.receive(1) == Exited(7, 255, 1000 & 0x7F, 0)
    peer.says(b"failed\x007\x0013\x00" + b"\xff\x1b]0;x\x07" * 900)
    report = peer.control.receive(1)
    assert isinstance(report, RequestFailed)
    assert len(report.text) < 8192


def test_the_pid_is_the_kernel_s_word_not_the_agent_s(peer: Peer) -> None:
    peer.says(b"hello")
    assert peer.control.receive(1) == Hello(os.getpid())
    forged = (socket.SOL_SOCKET, 2, array.array("i", [os.getppid(), 4242, 4242]))
    if os.geteuid() != 0:  # root may lie about itself; nothing in a sandbox is root
        with pytest.raises(PermissionError):
            peer.agent.sendmsg([b"hello"], [forged])


def test_descriptors_that_nobody_asked_for_are_closed(peer: Peer) -> None:
    read, write = os.pipe()
    before = _descriptors()
    for _ in range(20):
        peer.agent.sendmsg(
            [b"done\x001"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write] * 50))]
        )
        with suppress(SandboxLost):
            peer.control.receive(1)
    assert _descriptors() == before
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("message", [b"hello", b"handed\x0077", b"handed\0" + b"7" * 5000])
def test_descriptors_of_reports_that_nobody_waits_for_are_closed(
    peer: Peer, message: bytes
) -> None:
    before = _descriptors()
    with open(os.devnull) as null:
        three = array.array("i", [null.fileno()] * 3)
        for _ in range(20):
            peer.agent.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, three)])
        for _ in range(20):
            with suppress(SandboxLost):
                peer.control.wait_for(1, 0.02)
    assert _descriptors() == before


def test_an_answer_with_more_descriptors_than_one_is_none(peer: Peer) -> None:
    before = _descriptors()
    two = array.array("i", [peer.agent.fileno()] * 2)
    peer.agent.sendmsg([b"handed\x001"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, two)])
    with pytest.raises(SandboxLost):
        peer.control.handed(1)
    assert _descriptors() == before


@pytest.mark.parametrize("message", [b"hello", b"handed\x0077", b"handed\0" + b"7" * 5000])
@pytest.mark.anyio
async def test_the_service_closes_what_comes_unasked(peer: Peer, message: bytes) -> None:
    link = AgentClient(peer.control, lambda: None)
    peer.agent.send(b"hello")
    await link.hello
    before = _descriptors()
    three = array.array("i", [peer.agent.fileno()] * 3)
    for _ in range(20):
        peer.agent.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, three)])
    await asyncio.sleep(0.05)
    assert _descriptors() <= before
    link.close()


@pytest.mark.parametrize(
    "listing",
    [
        b"file " + b"9" * 5000 + b" x\0",
        b"file -1 x\0",
        b"file 1 \0",
        b"link 1 x\0",
        b"\0",
        b"file\0",
    ],
)
def test_a_malformed_listing_is_refused(peer: Peer, listing: bytes) -> None:
    with pytest.raises(FileTransferFailed, match="malformed directory listing"):
        _listed(peer, listing)


def test_a_listing_in_single_bytes_is_read_in_linear_time(peer: Peer) -> None:
    began = time.process_time()
    assert len(_listed(peer, b"file 1 x\0" * 30_000, pieces=1)) == 30_000
    assert time.process_time() - began < 10


def test_a_listing_without_end_is_refused(peer: Peer) -> None:
    names = b"file 1 x\0" * 2_000_000
    with pytest.raises(FileTransferFailed, match="too many names"):
        _listed(peer, names, pieces=1 << 20)


class _Watched(LocalSandbox):
    def __init__(self, control: Control) -> None:
        self.control = control

    def watch(self) -> MemoryWatch:
        """Nobody looks at what comes of it."""
        return cast("MemoryWatch", None)


def _listed(peer: Peer, listing: bytes, pieces: int = 4096) -> list[FileEntry]:
    """What the host makes of a listing in hostile words."""

    def answer() -> None:
        message, ancillary, _, _ = peer.agent.recvmsg(4096, socket.CMSG_SPACE(16))
        (_, _, rights), number = ancillary[0], marshal.loads(message)["id"]
        (pipe,) = array.array("i", rights)
        with suppress(BrokenPipeError):  # the host has seen enough
            for start in range(0, len(listing), pieces):
                os.write(pipe, listing[start : start + pieces])
        os.close(pipe)
        peer.says(b"done\0%d" % number)

    agent = threading.Thread(target=answer)
    agent.start()
    try:
        return transfer.entries(_Watched(peer.control), "/")
    finally:
        agent.join()


def test_a_flood_of_reports_does_not_outlast_the_deadline(peer: Peer) -> None:
    over = threading.Event()

    def flood() -> None:
        with suppress(OSError):
            while not over.is_set():
                peer.says(b"done\x009")

    thread = threading.Thread(target=flood)
    thread.start()
    started = time.monotonic()
    try:
        with pytest.raises(SandboxLost, match="did not answer"):
            peer.control.wait_for(1, 0.5)
        assert time.monotonic() - started < 10
    finally:
        over.set()
        peer.control.close()
        thread.join()


def test_reports_about_other_requests_answer_nothing(peer: Peer) -> None:
    peer.says(b"done\x002")
    peer.says(b"exit\x003\x000\x000\x000\0")
    peer.says(b"done\x001")
    assert peer.control.wait_for(1, 1) == RequestDone(1)


def test_an_agent_that_stops_reading_does_not_hold_the_host_up(peer: Peer) -> None:
    started = time.monotonic()
    with pytest.raises(SandboxLost):
        _talk_at(peer.control)
    assert time.monotonic() - started < 60


def test_an_agent_that_hangs_up_is_noticed(peer: Peer) -> None:
    peer.agent.close()
    with pytest.raises(SandboxLost):
        peer.control.receive(1)
