"""Commands through the synchronous SDK (E2B_PROTOCOL 3.3 to 3.8)."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from e2b import (
    AuthenticationException,
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    SandboxException,
    TimeoutException,
)

from tests.sdk.serving import Serving
from tests.waiting import until


def test_both_streams_and_the_exit_code_come_back(sandbox: Any) -> None:
    with pytest.raises(CommandExitException) as failed:
        sandbox.commands.run("echo out; echo err >&2; exit 3")
    error = failed.value
    assert (error.stdout, error.stderr, error.exit_code) == ("out\n", "err\n", 3)
    assert error.error == "exit status 3"


def test_a_program_that_dies_of_a_signal_has_no_exit_code(sandbox: Any) -> None:
    with pytest.raises(CommandExitException) as failed:
        sandbox.commands.run("kill -9 $$")
    assert (failed.value.exit_code, failed.value.error) == (-1, "signal: killed")


def test_a_program_leads_no_session_and_makes_one_of_its_own(sandbox: Any) -> None:
    """Where it led one, setsid(1) went into the background, and os.setsid failed."""
    with pytest.raises(CommandExitException) as failed:
        sandbox.commands.run("setsid sh -c 'sleep 0.2; exit 3'")
    assert failed.value.exit_code == 3
    sandbox.commands.run("python3 -c 'import os; os.setsid()'")
    with pytest.raises(CommandExitException):
        sandbox.commands.run("kill -9 0")
    assert sandbox.commands.run("echo alive").stdout == "alive\n"


def test_output_comes_as_it_is_written_and_none_is_lost(sandbox: Any) -> None:
    seen: list[tuple[float, str]] = []
    result = sandbox.commands.run(
        "echo 1; sleep 0.3; echo 2", on_stdout=lambda text: seen.append((time.monotonic(), text))
    )
    assert [text for _, text in seen] == ["1\n", "2\n"]
    assert seen[1][0] - seen[0][0] > 0.1  # the program waits 0.3 s between them
    assert result.stdout == "1\n2\n"
    assert {sandbox.commands.run("echo 1; echo 2").stdout for _ in range(20)} == {"1\n2\n"}


def test_a_character_cut_in_two_comes_back_whole(sandbox: Any) -> None:
    code = "import sys; w = sys.stdout.buffer; w.write(b'a' * 8191 + b'\\xe2'); w.flush(); "
    code += "import time; time.sleep(0.1); w.write(b'\\x82\\xac')"
    assert sandbox.commands.run(f'python3 -c "{code}"').stdout == "a" * 8191 + "€"
    broken = "import sys; sys.stdout.buffer.write(b'a' * 8191 + b'\\xe2')"
    assert sandbox.commands.run(f'python3 -c "{broken}"').stdout == "a" * 8191 + "\ufffd"


def test_twenty_megabytes_cost_client_and_service_little(sandbox: Any, service: Serving) -> None:
    def spent() -> float:
        words = Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(words[11]) + int(words[12])
        return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")

    began = spent()
    result = sandbox.commands.run("head -c 20000000 /dev/zero | tr '\\0' x")
    assert (len(result.stdout), set(result.stdout)) == (20_000_000, {"x"})
    assert spent() - began < 2  # of a processor


def test_the_directory_is_home_or_what_was_asked_for(sandbox: Any) -> None:
    def where(cwd: str | None) -> str:
        return str(sandbox.commands.run("pwd", cwd=cwd).stdout.strip())

    sandbox.commands.run("mkdir -p sub")
    assert where(None) == "/home/user"
    assert where("/tmp") == "/tmp"
    assert where("~") == "/home/user"
    assert where("~/sub") == where("sub") == "/home/user/sub"
    with pytest.raises(InvalidArgumentException, match=r"cwd '/nowhere' does not exist"):
        sandbox.commands.run("pwd", cwd="/nowhere")


def test_variables_are_for_one_command_only(sandbox: Any) -> None:
    echo = 'echo "[$FOO] $HOME $USER $E2B_SANDBOX $E2B_SANDBOX_ID $(umask) $(id -gn)"'
    expected = f"/home/user user true {sandbox.sandbox_id} 0022 user\n"
    assert sandbox.commands.run(echo, envs={"FOO": "bar"}).stdout == f"[bar] {expected}"
    assert sandbox.commands.run(echo).stdout == f"[] {expected}"


def test_root_has_a_home_and_a_name_of_its_own(sandbox: Any) -> None:
    result = sandbox.commands.run("echo $HOME $USER $LOGNAME; pwd", user="root")
    assert result.stdout == "/root root root\n/root\n"
    with pytest.raises(AuthenticationException):
        sandbox.commands.run("true", user="bob")


def test_sudo_runs_a_command_as_root_would(sandbox: Any) -> None:
    line = "sudo sh -c 'echo $HOME; exit 5'; echo $?; sudo -E A=1 sh -c 'echo $A'; sudo -u user env"
    lines = sandbox.commands.run(line).stdout.splitlines()
    assert lines[:3] == ["/root", "5", "1"]
    assert "HOME=/home/user" in lines
    with pytest.raises(CommandExitException, match="command not found"):
        sandbox.commands.run("sudo no-such-command")


def test_what_cannot_be_started_is_an_invalid_argument(sandbox: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="Argument list too long"):
        sandbox.commands.run("x" * 140_000)
    with pytest.raises(InvalidArgumentException):
        sandbox.commands.run("true", envs={"A=B": "c"})
    assert (
        len(sandbox.commands.run("echo $A$B", envs=dict.fromkeys("AB", "x" * 10**5)).stdout) > 2e5
    )


def test_the_deadline_is_a_timeout_and_the_end_of_the_program(sandbox: Any) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutException):
        sandbox.commands.run("sleep 60", timeout=0.4)
    assert time.monotonic() - began < 20
    until(lambda: sandbox.commands.list() == [])


def test_a_deadline_of_a_follower_ends_only_the_following(sandbox: Any) -> None:
    command = sandbox.commands.run("sleep 60", background=True)
    with pytest.raises(TimeoutException):
        sandbox.commands.connect(command.pid, timeout=0.2).wait()
    assert [process.pid for process in sandbox.commands.list()] == [command.pid]


def test_input_reaches_the_program_until_it_is_closed(sandbox: Any) -> None:
    command = sandbox.commands.run("cat", background=True, stdin=True)
    for number in range(3):
        sandbox.commands.send_stdin(command.pid, f"{number} ü\n")
    sandbox.commands.close_stdin(command.pid)
    assert command.wait().stdout == "0 ü\n1 ü\n2 ü\n"
    deaf = sandbox.commands.run("sleep 60", background=True, stdin=True)
    sandbox.commands.close_stdin(deaf.pid)
    sandbox.commands.close_stdin(deaf.pid)


def test_ten_megabytes_of_input(sandbox: Any) -> None:
    command = sandbox.commands.run("wc -c", background=True, stdin=True)
    sandbox.commands.send_stdin(command.pid, "x" * 10_000_000)
    sandbox.commands.close_stdin(command.pid)
    assert command.wait().stdout == "10000000\n"


def test_a_program_without_stdin_reads_nothing(sandbox: Any) -> None:
    assert sandbox.commands.run("cat").stdout == ""
    command = sandbox.commands.run("sleep 60", background=True)
    with pytest.raises(SandboxException, match="stdin not enabled"):
        sandbox.commands.send_stdin(command.pid, "x")


def test_a_killed_program_is_gone_when_the_answer_comes(sandbox: Any) -> None:
    command = sandbox.commands.run("sleep 60", background=True)
    sandbox.commands.run(f"kill -0 {command.pid}")
    assert sandbox.commands.kill(command.pid) is True
    with pytest.raises(CommandExitException):
        sandbox.commands.run(f"kill -0 {command.pid}")
    with pytest.raises(CommandExitException) as ended:
        command.wait()
    assert (ended.value.exit_code, ended.value.error) == (-1, "signal: killed")
    assert sandbox.commands.kill(command.pid) is False


def test_a_background_program_is_listed_and_can_be_followed_again(sandbox: Any) -> None:
    command = sandbox.commands.run(
        "sleep 0.5; echo done", background=True, envs={"A": "b"}, cwd="/tmp"
    )
    [process] = sandbox.commands.list()
    assert (process.pid, process.cmd) == (command.pid, "/bin/bash")
    assert (process.args, process.envs) == (["-l", "-c", "sleep 0.5; echo done"], {"A": "b"})
    assert process.cwd == "/tmp"
    command.disconnect()
    followers = [sandbox.commands.connect(command.pid) for _ in range(2)]
    assert [follower.wait().stdout for follower in followers] == ["done\n", "done\n"]
    assert sandbox.commands.connect(command.pid).wait().exit_code == 0  # still remembered


def test_nobody_listening_does_not_hold_a_program_up(sandbox: Any) -> None:
    command = sandbox.commands.run("head -c 5000000 /dev/zero; echo > /tmp/done", background=True)
    command.disconnect()
    sandbox.commands.run("until test -e /tmp/done; do sleep 0.05; done", timeout=20)


def test_a_child_that_holds_the_output_keeps_the_command_running(sandbox: Any) -> None:
    began = time.monotonic()
    assert sandbox.commands.run("(sleep 0.5; echo late) & echo now").stdout == "now\nlate\n"
    assert time.monotonic() - began > 0.5
    began = time.monotonic()
    sandbox.commands.run("sleep 20 >/dev/null 2>&1 & disown")
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("call", ["connect", "send_stdin", "close_stdin"])
def test_an_unknown_pid_is_not_found(sandbox: Any, call: str) -> None:
    arguments = (99999, "x") if call == "send_stdin" else (99999,)
    with pytest.raises(NotFoundException, match="process with pid 99999 not found"):
        getattr(sandbox.commands, call)(*arguments)


def test_a_git_daemon_serves_a_clone(sandbox: Any) -> None:
    sandbox.commands.run("git init -q --bare /tmp/r.git && touch /tmp/r.git/git-daemon-export-ok")
    daemon = "git daemon --reuseaddr --base-path=/tmp --listen=127.0.0.1 --port=9418"
    sandbox.commands.run(daemon, background=True)
    clone = "for i in 1 2 3 4 5 6 7 8 9; do git clone -q git://127.0.0.1/r.git copy && break; "
    sandbox.commands.run(clone + "sleep 0.1; done; test -d copy/.git")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="this machine has no openssl")
def test_openssl_makes_a_certificate(sandbox: Any) -> None:
    ask = "openssl req -x509 -newkey ed25519 -nodes -keyout k.pem -out c.pem -subj /CN=localhost"
    sandbox.commands.run(ask)
    assert "localhost" in sandbox.commands.run("openssl x509 -in c.pem -noout -subject").stdout
