"""Terminals through the synchronous SDK."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from e2b import CommandExitException, NotFoundException, SandboxException
from e2b.sandbox.commands.command_handle import PtySize

SIZE = PtySize(rows=24, cols=80)


def conversation(sandbox: Any, *steps: bytes | Callable[[int], object]) -> tuple[str, int]:
    """What a shell on a terminal says to these inputs, and how it ends."""
    handle = sandbox.pty.create(SIZE, timeout=20)
    for step in steps:
        if callable(step):
            step(handle.pid)
        else:
            sandbox.pty.send_stdin(handle.pid, step)
        time.sleep(0.25)
    said: list[bytes] = []
    try:
        code = handle.wait(on_pty=said.append).exit_code
    except CommandExitException as error:
        code = error.exit_code
    return b"".join(said).decode(), code


def test_a_shell_has_a_terminal_with_its_environment(sandbox: Any) -> None:
    line = b"echo $TERM $LANG $(tty) $(stty size); test -t 0 && exit 7\n"
    said, code = conversation(sandbox, line)
    assert "xterm-256color C.UTF-8 /dev/pts/" in said
    assert " 24 80" in said
    assert code == 7


def test_the_terminal_can_be_resized(sandbox: Any) -> None:
    def resize(pid: int) -> None:
        sandbox.pty.resize(pid, PtySize(rows=33, cols=111))

    said, _ = conversation(sandbox, b"tput cols\n", resize, b"stty size; tput cols; exit\n")
    assert "33 111\r\n111" in said


def test_control_characters_reach_the_foreground_job(sandbox: Any) -> None:
    began = time.monotonic()
    said, code = conversation(sandbox, b"sleep 60\n", b"\x03", b"echo after $((6*7)); exit 0\n")
    assert "after 42" in said
    assert code == 0
    assert time.monotonic() - began < 30


def test_a_terminal_is_ended_by_control_d_or_by_a_kill(sandbox: Any) -> None:
    # A Ctrl+D that comes before the shell has the terminal is for nobody.
    _, code = conversation(sandbox, b"true\n", b"\x04")
    assert code == 0
    handle = sandbox.pty.create(SIZE)
    assert sandbox.pty.kill(handle.pid) is True
    assert sandbox.pty.kill(handle.pid) is False
    with pytest.raises(CommandExitException) as ended:
        handle.wait()
    assert (ended.value.exit_code, ended.value.error) == (-1, "signal: killed")


def test_pipes_and_terminals_are_not_mistaken_for_each_other(sandbox: Any) -> None:
    command = sandbox.commands.run("sleep 60", background=True, stdin=True)
    with pytest.raises(SandboxException, match="no pty"):
        sandbox.pty.send_stdin(command.pid, b"x")
    with pytest.raises(SandboxException, match="no pty"):
        sandbox.pty.resize(command.pid, SIZE)
    handle = sandbox.pty.create(SIZE)
    with pytest.raises(SandboxException, match="pty"):
        sandbox.commands.send_stdin(handle.pid, "x")
    with pytest.raises(NotFoundException):
        sandbox.pty.resize(99999, SIZE)


def test_a_terminal_takes_another_user_directory_and_variables(sandbox: Any) -> None:
    handle = sandbox.pty.create(SIZE, user="root", cwd="/tmp", envs={"MINE": "yes"})
    sandbox.pty.send_stdin(handle.pid, b"echo $HOME $PWD $MINE; exit\n")
    said: list[bytes] = []
    handle.wait(on_pty=said.append)
    assert b"/root /tmp yes" in b"".join(said)
