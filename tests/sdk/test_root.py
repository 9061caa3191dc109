"""Root inside a sandbox: a name and a home, and nothing that comes with them elsewhere."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from e2b.sandbox.commands.command_handle import PtySize

from tests.contract.wheelhouse import wheel

_STATUS = "grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/self/status | sort -u"
# What speaks to the socket behind `sudo`: garbage, nothing at all, descriptors too many, too few.
_KNOCKING = r"""
import array, os, socket
for request in (b"", b"\xff\0\0" * 1000, b"root\0/\0" + b"-5\0x", b"root\0/\0" + b"9" * 5000):
    for count in (0, 1, 3, 9):
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.settimeout(5)
        door.connect("\0e2brun-sudo")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * count))]
        door.sendmsg([request], rights if count else [])
        print(door.recv(100)[:3])
idle = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(10)]
for door in idle:
    door.connect("\0e2brun-sudo")
"""


def test_root_is_called_root_and_has_a_home(sandbox: Any) -> None:
    line = "whoami; id -u; touch ~/file; ls -l ~/file | cut -d' ' -f3; pwd"
    assert sandbox.commands.run(line, user="root").stdout == "root\n0\nroot\n/root\n"
    assert sandbox.commands.run("sudo whoami; sudo pwd").stdout == "root\n/home/user\n"
    assert sandbox.commands.run("sudo -u user whoami; whoami").stdout == "user\nuser\n"


def test_what_root_installs_is_there_for_everybody(sandbox: Any, tmp_path: Path) -> None:
    if not sandbox.commands.run("pip --version || true").stdout:
        pytest.skip("this Python has no pip")
    made = wheel(tmp_path, "brought", {"brought.py": "VALUE = 42\n"})
    sandbox.files.write(f"/tmp/{made.name}", made.read_bytes())
    asks_nothing = {"PIP_BREAK_SYSTEM_PACKAGES": "1"}  # where the Python is a distribution's
    sandbox.commands.run(f"sudo pip install -q --no-index /tmp/{made.name}", envs=asks_nothing)
    asked = "python3 -c 'import brought; print(brought.VALUE)'"
    assert sandbox.commands.run(asked).stdout == "42\n"
    assert sandbox.commands.run(asked, user="root").stdout == "42\n"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_a_global_package_of_npms_is_a_command(sandbox: Any) -> None:
    sandbox.files.write("/tmp/says/package.json", '{"name": "says", "bin": "says.sh"}')
    sandbox.files.write("/tmp/says/says.sh", "#!/bin/sh\necho said\n")
    assert sandbox.commands.run("sudo npm install -g /tmp/says >&2; says").stdout == "said\n"


def test_root_has_no_capability_and_no_way_to_one(sandbox: Any) -> None:
    plain = sandbox.commands.run(_STATUS).stdout
    assert "CapEff:\t0000000000000000" in plain
    assert "CapBnd:\t0000000000000000" in plain
    bits = "python3 -c 'import ctypes; print(ctypes.CDLL(None).prctl(27, 0, 0, 0, 0))'"
    assert sandbox.commands.run(bits, user="root").stdout == "3\n"  # uid 0 means nothing, for good
    # The filter refuses user namespaces; should the kernel learn of another call, this does.
    assert sandbox.commands.run("cat /proc/sys/user/max_user_namespaces").stdout == "0\n"
    assert sandbox.commands.run(_STATUS, user="root").stdout == plain
    assert sandbox.commands.run("sudo sh -c " + repr(_STATUS.replace("'", '"'))).stdout == plain
    attempts = "mount -t tmpfs x /mnt; unshare -U true; mknod /tmp/d b 8 0; kill -9 1; "
    attempts += "/usr/sbin/chroot / true; cat /proc/1/environ; nice -n -5 true"
    said = sandbox.commands.run(f"({attempts}) 2>&1", user="root").stdout.lower()
    assert said.count("not permitted") + said.count("denied") == 6


def test_root_listens_at_port_80(sandbox: Any) -> None:
    bound = "python3 -c 'import socket; print(socket.create_server((str(), 80)).getsockname()[1])'"
    assert sandbox.commands.run(bound, user="root").stdout == "80\n"


def test_sudo_passes_on_streams_signals_and_endings(sandbox: Any) -> None:
    assert sandbox.commands.run("echo x | sudo tee /tmp/copy").stdout == "x\n"
    assert sandbox.commands.run("sudo sh -c 'exit 5'; echo $?").stdout == "5\n"
    assert sandbox.commands.run("sudo sh -c 'kill -9 $$'; echo $?").stdout == "137\n"
    assert sandbox.commands.run("timeout 0.3 sudo sleep 60; echo $?").stdout == "124\n"
    assert "sleep 60" not in sandbox.commands.run("ps -eo args").stdout


def test_an_interrupt_from_the_terminal_reaches_what_runs_below_sudo(sandbox: Any) -> None:
    handle = sandbox.pty.create(PtySize(rows=24, cols=80), timeout=20)
    for typed in (b"sudo sh -c 'sleep 60; true'\n", b"\x03", b"echo back $((40+2)); exit 0\n"):
        sandbox.pty.send_stdin(handle.pid, typed)
        time.sleep(0.7)
    said: list[bytes] = []
    handle.wait(on_pty=said.append)
    assert b"back 42" in b"".join(said)


def test_nobody_breaks_sudo_by_what_he_says_to_it(sandbox: Any) -> None:
    sandbox.files.write("/tmp/knock.py", _KNOCKING)
    said = sandbox.commands.run("python3 /tmp/knock.py; sudo whoami").stdout
    assert said.endswith("root\n")
