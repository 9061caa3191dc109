"""The first process of a sandbox, whose children are in the hands of whoever else is in there."""

from __future__ import annotations

import os
import signal
import socket
from types import FrameType
from typing import NoReturn

import pytest

from e2brun.sandbox.local.agent import main


def _be_stopped(_report: int) -> NoReturn:
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)


def _give_up(_number: int, _frame: FrameType | None) -> NoReturn:
    raise TimeoutError


def test_a_child_that_is_stopped_before_it_is_a_program_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(main, "_STARTING_MILLISECONDS", 50)
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
