"""The first process of a sandbox, whose children are in the hands of whoever else is in there."""

from __future__ import annotations

import array
import os
import signal
import socket
from contextlib import closing
from types import FrameType, SimpleNamespace
from typing import NoReturn

import pytest

from e2brun.sandbox.local.agent import callers, main
from e2brun.sandbox.local.agent.root import sudo_socket


def _be_stopped(_report: int) -> NoReturn:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)


def _give_up(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TimeoutError


def test_a_child_that_is_stopped_before_it_is_a_program_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(main, "_STARTING_SECONDS", 0.05)
    host, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    agent = main.Agent(inside)
    before = signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(20)
    try:
        pid = agent.launch(7, _be_stopped)
        _, status = os.waitpid(pid, 0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        host.close()
        inside.close()
    assert os.WTERMSIG(status) == signal.SIGKILL


def _heard_at_the_socket(message: bytes | None, descriptors: int) -> bytes:
    """What who says so is told in the end; None: nothing is said."""
    client, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        client.close()
        callers._hear(None, theirs.detach(), sudo_socket._serve)
    theirs.close()
    with closing(client):
        client.settimeout(10)
        if message is not None:
            given = array.array("i", [client.fileno()] * descriptors)
            client.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, given)])
        try:
            return client.recv(100)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_at_the_socket_of_sudo_one_whole_request_with_three_descriptors_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = b"root\0/nowhere\x001\0/bin/true"
    assert _heard_at_the_socket(request, 3).startswith(b"pid\0")
    for descriptors in (1, 2, 4):
        assert _heard_at_the_socket(request, descriptors) == b""
    monkeypatch.setattr(sudo_socket, "REQUEST_LIMIT", len(request) - 1)
    assert _heard_at_the_socket(request, 3) == b""


def test_at_the_socket_of_sudo_who_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callers, "_SECONDS", 0.05)
    assert _heard_at_the_socket(None, 0) == b""


def test_who_knocks_while_many_are_served_is_turned_away() -> None:
    def serve(_agent: object, _client: object) -> NoReturn:
        os._exit(0)

    agent = SimpleNamespace(errands=dict.fromkeys(range(callers._AT_ONCE)))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("")  # the kernel finds a name
        listener.listen()
        client.connect(listener.getsockname())
        client.settimeout(10)
        callers._admit(agent, listener, serve, lambda _descriptor, _status: None)
        assert client.recv(1) == b""
        assert len(agent.errands) == callers._AT_ONCE
