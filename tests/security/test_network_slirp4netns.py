"""The slirp4netns behind `--network`: what it may do, and that it never outlives its sandbox."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.local.isolation.driver import Jailed
from e2brun.sandbox.local.isolation.slirp4netns import Uplink
from tests.conftest import COMMAND, clean_environment
from tests.security.probing import Probe
from tests.security.test_network_option import IS_ROOT, able_to_go_online
from tests.waiting import until


@pytest.fixture(scope="module")
def online(probe: Probe) -> Probe:
    return able_to_go_online(probe)


def _children(parent: int) -> dict[int, str]:
    """pid -> name of the living children of a process."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            state, its_parent = rest.split()[:2]
            if int(its_parent) == parent and state != "Z":
                found[int(entry.name)] = name
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture
def running(tmp_path: Path, online: Probe) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`e2brun exec --network` in the middle of a run, and the pid of its slirp4netns."""
    if online.account != "root" and IS_ROOT:
        pytest.skip("once is enough: looked at as root")
    (tmp_path / "prog.py").write_text("print('up', flush=True); import time; time.sleep(60)")
    inherited = os.open("/etc/passwd", os.O_RDONLY)
    member = ["setpriv", "--groups", "4,24"] if IS_ROOT else []
    command = subprocess.Popen(
        [*member, *COMMAND, "exec", "--on", "local", "--network", "prog.py"],
        cwd=tmp_path,
        env=clean_environment({"SECRET": "s3cret"}),
        stdout=subprocess.PIPE,
        pass_fds=(inherited,),
    )
    os.close(inherited)
    assert command.stdout is not None
    try:
        assert command.stdout.readline() == b"up\n"
        found = [pid for pid, name in _children(command.pid).items() if name == "slirp4netns"]
        assert len(found) == 1
        yield command, found[0]
    finally:
        command.kill()
        command.wait()
        command.stdout.close()


def test_slirp4netns_has_next_to_nothing(running: tuple[subprocess.Popen[bytes], int]) -> None:
    _, pid = running
    status: dict[str, Any] = {}
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        status[name] = value.split()
    assert "0" not in status["Uid"]
    assert int(status["CapEff"][0], 16) in {0, 1 << 10}  # CAP_NET_BIND_SERVICE at most
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    limits = Path(f"/proc/{pid}/limits").read_text()
    for name, most in (("open files", 1024), ("address space", 1 << 30), ("core file size", 1)):
        assert re.search(rf"Max {name} +{most} +{most} ", limits), name
    if IS_ROOT:
        assert status["Groups"] == []
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""
        entries = Path(f"/proc/{pid}/fd").iterdir()
        names = {str(entry.readlink()).partition(":")[0] for entry in entries}
        assert names <= {"/dev/null", "pipe", "socket", "net", "/tun", "/net/tun", "/dev/net/tun"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_slirp4netns_ends_with_e2brun(
    running: tuple[subprocess.Popen[bytes], int], number: signal.Signals
) -> None:
    command, pid = running
    command.send_signal(number)
    command.wait(timeout=10)
    until(lambda: not _alive(pid), 2)


def test_slirp4netns_ends_with_the_sandbox(online: Probe) -> None:
    code = textwrap.dedent(
        """
        import json, os
        from e2brun.sandbox.contract import Network, Program, SandboxSpec
        from e2brun.sandbox.local.backend import LocalBackend
        backend = LocalBackend(cache_directory="cache")
        sandbox = backend.create(SandboxSpec(network=Network.INTERNET, cells=False))
        sandbox.run_program(Program(("true",)), timeout=9, stdout=print, stderr=print)
        descriptors = len(os.listdir("/proc/self/fd"))
        children = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()
        sandbox.kill()
        left = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()
        fewer = descriptors - len(os.listdir("/proc/self/fd"))
        print(json.dumps([len(children), left, fewer]))
        """
    )
    children, left, fewer = online.outside(code)
    assert children == 2
    assert left == []
    assert fewer >= 3


def test_a_slirp4netns_that_fails_is_an_error_with_its_own_words(online: Probe) -> None:
    stub = online.directory / "stub"
    stub.mkdir(exist_ok=True)
    program = stub / "slirp4netns"
    program.write_text("#!/bin/sh\necho 'child failed(1)' >&2; echo 'no tun today' >&2; exit 1\n")
    program.chmod(0o755)
    code = textwrap.dedent(
        """
        import json, os
        from e2brun.errors import SandboxUnavailable
        from e2brun.sandbox.contract import Network, SandboxSpec
        from e2brun.sandbox.local.backend import LocalBackend
        try:
            spec = SandboxSpec(network=Network.INTERNET, cells=False)
            LocalBackend(cache_directory="cache").create(spec)
        except SandboxUnavailable as error:
            children = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read()
            print(json.dumps([str(error), children]))
        """
    )
    path = f"{stub}:{os.environ['PATH']}"
    message, children = online.outside(code, environment={"PATH": path})
    assert message == "--network: slirp4netns did not start: no tun today"
    assert children == ""


def test_without_slirp4netns_it_says_what_to_install(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    (programs / "bwrap").symlink_to(bwrap)
    (tmp_path / "prog.py").write_text("print(1)")
    done = subprocess.run(
        [*COMMAND, "exec", "--on", "local", "--network", "prog.py"],
        cwd=tmp_path,
        env={**clean_environment(), "PATH": str(programs)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 125
    assert done.stdout == b""
    assert b"slirp4netns is not installed" in done.stderr
    assert b"apt-get update && apt-get install -y slirp4netns" in done.stderr


@pytest.mark.parametrize("place", ["/proc/self/ns/net", "/proc/self/ns/user", "/dev/null"])
def test_a_sandbox_that_hands_over_what_is_not_its_network_gets_no_way_out(place: str) -> None:
    """It is said in one line."""
    descriptor = os.open(place, os.O_RDONLY)
    with pytest.raises(SandboxUnavailable, match=r"^--network: no network of a sandbox's"):
        Uplink(Jailed(-1, -1), descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
