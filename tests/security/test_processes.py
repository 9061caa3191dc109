"""Processes of the host are neither seen nor reached, and nothing new can be built on top."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.security.probing import NO_FILTER, Probe
from tests.waiting import until

pytestmark = pytest.mark.crossed


def test_no_process_of_the_host_is_visible_or_can_be_signalled(probe: Probe) -> None:
    victim = subprocess.Popen([*probe.prefix, "sleep", "60"])
    code = f"""
    import json, os
    seen = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    reached = []
    for pid in (os.getppid(), {victim.pid}, {os.getpid()}):
        try:
            os.kill(pid, 0)
            reached.append(pid)
        except OSError:
            pass
    def told(pid):
        try:
            return open(f"/proc/{{pid}}/cmdline", "rb").read()
        except OSError:  # outside, processes come and go
            return b""

    found = [pid for pid in seen if b"sleep" in told(pid)]
    print(json.dumps([len(seen), [pid for pid in reached if pid > 1], len(found)]))
    """
    try:
        assert probe(code).answer == [2, [], 0]
        seen, reached, found = probe.outside(code)
        assert seen > 2
        assert victim.pid in reached
        assert found >= 1
    finally:
        victim.kill()
        victim.wait()


def test_the_first_process_cannot_be_ended_or_slowed_down_from_inside(probe: Probe) -> None:
    code = """
    import ctypes, json, os, resource, signal
    ioprio_set = {"x86_64": 251, "aarch64": 30}[os.uname().machine]
    def behind_everybody_at_the_disk():
        if ctypes.CDLL(None).syscall(ioprio_set, 1, 1, 3 << 13):
            raise OSError
    done = []
    for number in range(1, 65):
        try:
            os.kill(1, number)
        except OSError:
            pass
    attempts = {
        "rlimit": lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3)),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
        "scheduler": lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
        "parameters": lambda: os.sched_setparam(1, os.sched_param(0)),
        "affinity": lambda: os.sched_setaffinity(1, {0}),
        "disk": behind_everybody_at_the_disk,
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except OSError:
            continue
        done.append(name)
    print(json.dumps(done))
    """
    report = probe(code, after=[["read", "probe.py"]])
    assert report.answer == []
    assert report.after[0]["size"] > 0
    assert {"rlimit", "disk"} <= set(probe(code, weak=NO_FILTER).answer)


@pytest.mark.parametrize("tool", ["unshare -U true", "unshare -r true", "bwrap --ro-bind / / true"])
def test_no_namespace_can_be_made_inside(probe: Probe, tool: str) -> None:
    code = f"""
    import json, subprocess
    done = subprocess.run({tool!r}.split(), capture_output=True)
    print(json.dumps(done.returncode))
    """
    assert probe(code).answer != 0
    assert probe.outside(code) == 0


def test_no_user_namespace_can_be_made_where_no_filter_hinders_it(probe: Probe) -> None:
    code = """
    import ctypes, json
    libc = ctypes.CDLL(None, use_errno=True)
    print(json.dumps([libc.unshare(0x10000000), ctypes.get_errno()]))
    """
    how: dict[str, Any] = {"unfiltered": True}
    if probe.driver == "bubblewrap":
        how = {"weak": NO_FILTER}
    assert probe(code, **how).answer == [-1, 28]  # ENOSPC: user_namespaces(7)
    assert probe(code).answer == [-1, 1]
    assert probe.outside(code)[0] == 0


def test_set_user_id_programs_give_no_rights(probe: Probe) -> None:
    code = """
    import glob, json, os, stat, subprocess
    programs = [
        path for path in glob.glob("/usr/bin/*") if os.stat(path).st_mode & stat.S_ISUID
    ] if os.path.isdir("/usr/bin") else []
    rights = []
    for path in programs:
        child = subprocess.Popen([path], stdin=-1, stdout=-1, stderr=-1)
        try:
            status = open(f"/proc/{child.pid}/status").read()
            rights += [path] if "Uid:\\t1000\\t1000" not in status else []
        except OSError:
            pass
        child.kill()
        child.wait()
    print(json.dumps(rights))
    """
    assert probe(code).answer == []


def test_a_core_dump_wakes_no_helper_of_the_host(probe: Probe) -> None:
    """A size limit of 1 is the only one at which the kernel starts no core_pattern program,
    which would run as root outside (core(5)); 0 does not do, and must not be had."""
    code = """
    import ctypes, json, os, resource
    setrlimit = {"x86_64": 160, "aarch64": 164}[os.uname().machine]  # libraries call another one
    ctypes.CDLL(None).syscall(setrlimit, 4, (ctypes.c_ulong * 2)(0, 0))
    for limits in ((0, 0), (0, 1)):
        try:
            resource.setrlimit(resource.RLIMIT_CORE, limits)
        except (OSError, ValueError):
            pass
    print(json.dumps(resource.getrlimit(resource.RLIMIT_CORE)))
    """
    assert probe(code).answer == [1, 1]
    assert probe(code, weak=NO_FILTER).answer == [0, 0]


def test_namespaces_and_the_session_are_the_sandbox_s_own(probe: Probe) -> None:
    """Of some of them no more is left to see than their number: the calls are refused."""
    code = """
    import json, os
    kinds = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
    print(json.dumps([os.getsid(1), *(os.readlink(f"/proc/self/ns/{kind}") for kind in kinds)]))
    """
    session, *inside = probe(code).answer
    assert session == 1
    assert not {*inside} & {*probe.outside(code)}


def test_nobody_of_the_caller_s_groups_is_in_a_sandbox(probe: Probe) -> None:
    if probe.account != "root":
        pytest.skip("an ordinary user cannot leave a group")
    member = replace(probe, prefix=("setpriv", "--groups", "4,24"))
    code = "import json, os; print(json.dumps(os.getgroups()))"
    for driver in ("bubblewrap", "forkserver"):
        assert replace(member, driver=driver)(code, words=("member",)).answer == []
    assert member.outside(code) == [4, 24]


def test_what_was_started_ends_with_us_even_if_it_hears_of_nothing(probe: Probe) -> None:
    """Seen to fail without the parent-death signals: who is stopped reads no end of a socket."""
    cache = str(probe.directory / "cache" / probe.account)
    for driver, plain in (("Bubblewrap", False), ("Forkserver", False), ("Forkserver", True)):
        code = f"""
        import json, os, signal
        import harness
        from e2brun.sandbox.local.isolation import plain_start
        plain_start.is_worth_it = lambda _: {plain}  # a zygote as cells have it, or as programs
        driver = harness.{driver}()
        backend = harness.LocalBackend(cache_directory={cache!r}, driver=driver)
        backend.create(harness.SandboxSpec(cells=False)).watch()
        found = harness.descendants([os.getpid()])[1:]
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        print(json.dumps(found), flush=True)
        os._exit(0)
        """
        found = probe.outside(code)
        assert len(found) >= 2
        until(partial(_none_lives, found))


def _none_lives(pids: list[int]) -> bool:
    return not any(map(_lives, pids))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_there_is_no_terminal_to_type_into(probe: Probe) -> None:
    code = """
    import json, os
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
        print(json.dumps(True))
    except OSError:
        print(json.dumps(False))
    """
    assert probe(code).answer is False
    typed = f"import pty; pty.spawn(['python3', '-c', {dedent(code)!r}])"
    assert probe.outside(typed) is True
