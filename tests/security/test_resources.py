"""Processes, threads, descriptors, inodes, output and time: every run ends, and ends on time."""

from __future__ import annotations

import pytest

from tests.security.probing import MIB, Probe, Report

_OVERTIME = 10.0  # what a run may take beyond its timeout, however it resists
_TIMEOUT = 0.3
_GIB = 1024 * MIB

_FORKS = """
import json, os, time
children = 0
try:
    while children < 300:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        children += 1
except OSError as error:
    why = error.errno
else:
    why = 0
print(json.dumps([children, why]))
"""
_THREADS = """
import json, threading, time
started = 0
try:
    while started < 300:
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()
        started += 1
except RuntimeError:
    pass
print(json.dumps(started), flush=True)
"""
_NEVER_ENDING = {
    "spins": "while True: pass",
    "sleeps": "import time; time.sleep(1000)",
    "spins in every process and ignores every signal": """
import os, signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
for _ in range(5):
    os.fork()
while True:
    pass
""",
    "makes sessions of its own that ignore SIGTERM": """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                time.sleep(0.1)
        os._exit(0)
while True:
    time.sleep(1)
""",
    "forks for ever": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "starts threads for ever": """
import threading
def more():
    while True:
        try:
            threading.Thread(target=more).start()
        except RuntimeError:
            pass
more()
""",
    "replaces each process by a new one": """
import os
while True:
    try:
        if os.fork():
            os._exit(0)
        os.setsid()
    except OSError:
        pass
""",
    "stops itself": """
import os, signal
os.kill(os.getpid(), signal.SIGSTOP)
""",
    "prints for ever": """
import os
block = b"x" * 65536
while True:
    os.write(1, block)
    os.write(2, block)
""",
    "floods the first process with signals": """
import os, signal
for _ in range(4):
    os.fork()
while True:
    os.kill(1, signal.SIGCHLD)
""",
    "floods the first process with orphans": """
import os
while True:
    try:
        if os.fork() == 0:
            for _ in range(5):
                if os.fork() == 0:
                    os._exit(0)
            os._exit(0)
        os.waitpid(-1, 0)
    except OSError:
        pass
""",
}
_LEAVES_BEHIND = {
    "a daemon of its own session": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
os.wait()
print("done")
""",
    "a grandchild that holds the output open": """
import subprocess
subprocess.Popen(["sh", "-c", "sleep 1000 & sleep 1000"])
print("done")
""",
    "a grandchild that writes for ever": """
import os
print("done", flush=True)
if os.fork() == 0:
    while True:
        os.write(1, b"x" * 65536)
""",
    "threads": """
import os, threading, time
threading.Thread(target=time.sleep, args=(1000,)).start()
print("done", flush=True)
os._exit(0)
""",
}


def _ended_in_time(report: Report, timeout: float) -> None:
    assert report.elapsed < timeout + _OVERTIME
    assert report.survivors == 0


@pytest.mark.crossed(ways=1)
@pytest.mark.parametrize("how", _NEVER_ENDING)
def test_a_program_ends_at_its_timeout(probe: Probe, how: str) -> None:
    report = probe.within(_GIB, _NEVER_ENDING[how], timeout=_TIMEOUT, after=[["read", "probe.py"]])
    if how != "replaces each process by a new one":  # its first process ends at once
        assert (report.outcome, report.detail) == ("timeout", "time limit 0.3 s"), report
        assert report.elapsed >= _TIMEOUT
    _ended_in_time(report, _TIMEOUT)
    # The sandbox itself is there still: files can be fetched after a timeout.
    assert "text" in report.after[0], report.after


@pytest.mark.crossed(ways=1)
@pytest.mark.parametrize("what", _LEAVES_BEHIND)
def test_what_a_program_leaves_behind_does_not_hold_it_up(probe: Probe, what: str) -> None:
    report = probe.within(_GIB, _LEAVES_BEHIND[what], timeout=5)
    assert report.outcome == "ok"
    assert "done" in report.stdout
    assert report.namespaces == 1  # what is not seen cannot be missed
    _ended_in_time(report, 2)


@pytest.mark.crossed
def test_a_cell_that_never_ends_is_ended(probe: Probe) -> None:
    code = """
    import signal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        pass
    """
    report = probe(code, timeout=_TIMEOUT, cell=True)
    assert report.outcome == "timeout"
    _ended_in_time(report, _TIMEOUT)


@pytest.mark.crossed
def test_the_number_of_processes_is_limited(probe: Probe) -> None:
    children, why = probe(_FORKS).answer
    assert children <= 64
    assert why == 11  # EAGAIN
    assert children >= 60
    more, _ = probe(_FORKS, limits={"processes": 200}).answer
    assert 190 < more <= 200


@pytest.mark.crossed
def test_the_number_of_threads_is_limited(probe: Probe) -> None:
    started = probe(_THREADS).answer
    assert 60 <= started <= 64
    assert 190 < probe(_THREADS, limits={"processes": 200}).answer <= 200


@pytest.mark.crossed
def test_limits_of_processes_cannot_be_raised_again(probe: Probe) -> None:
    code = """
    import json, resource
    raised = []
    for name in ("NPROC", "NOFILE", "AS", "FSIZE", "MEMLOCK", "CORE"):
        limit = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(limit)[1]
        if hard == resource.RLIM_INFINITY:
            raised.append(name)
        try:
            resource.setrlimit(limit, (hard, hard + 1))
        except (OSError, ValueError):
            continue
        if resource.getrlimit(limit)[1] != hard:
            raised.append(name)
    print(json.dumps(raised))
    """
    assert probe(code).answer == []


@pytest.mark.crossed
def test_the_kernel_ends_what_nobody_else_does(probe: Probe) -> None:
    """The host keeps the time and the agent after it; the last is the limit of the processor's."""
    code = """
    import json, resource
    print(json.dumps(resource.getrlimit(resource.RLIMIT_CPU)))
    """
    soft, hard = probe(code, timeout=15).answer
    assert 15 <= soft < hard < 100_000


@pytest.mark.crossed
def test_the_number_of_open_files_is_limited(probe: Probe) -> None:
    code = """
    import json, os, resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = 0
    try:
        while count < 1000:
            os.open("/dev/null", os.O_RDONLY)
            count += 1
    except OSError:
        pass
    print(json.dumps(count))
    """
    assert 240 <= probe(code).answer <= 256
    assert 740 <= probe(code, limits={"open_files": 756}).answer <= 756


@pytest.mark.crossed
def test_a_file_system_has_no_more_room_than_its_limit(probe: Probe) -> None:
    code = """
    import json, os
    found = [os.statvfs(place) for place in ("/dev/shm", "/tmp", "/home/user")]
    print(json.dumps([one.f_blocks * one.f_frsize for one in found]))
    """
    limits = {"memory": 96 * MIB, "disk": 32 * MIB}
    assert probe(code, limits=limits).answer == [96 * MIB, 32 * MIB, 32 * MIB]


@pytest.mark.crossed
def test_there_is_a_limit_of_files_that_grows_with_the_disk(probe: Probe) -> None:
    code = """
    import json, os
    places = ("/dev/shm", "/tmp", "/home/user")
    print(json.dumps([os.statvfs(place).f_files for place in places]))
    """
    assert probe(code).answer == [10_000, 50_000, 50_000]
    assert probe(code, limits={"disk": 2048 * MIB}).answer == [10_000, 200_000, 200_000]


@pytest.mark.crossed(ways=1)
@pytest.mark.parametrize("place", ["/tmp", "/home/user", "/dev/shm"])
def test_the_number_of_files_is_limited(probe: Probe, place: str) -> None:
    code = f"""
    import errno, json, os
    why = ""
    count = 0
    try:
        while count < 12_000:
            os.close(os.open("{place}/%d" % count, os.O_WRONLY | os.O_CREAT))
            count += 1
    except OSError as error:
        why = errno.errorcode[error.errno]
    print(json.dumps([count, why]))
    """
    count, why = probe(code, limits={"inodes": 5000}).answer
    assert count <= (10_000 if place == "/dev/shm" else 5000)
    assert why == "ENOSPC"


@pytest.mark.crossed
def test_directories_nested_without_end_are_harmless(probe: Probe) -> None:
    code = """
    import json, os
    depth = 0
    try:
        while depth < 30000:
            os.mkdir("d")
            os.chdir("d")
            depth += 1
    except OSError:
        pass
    print(json.dumps(depth))
    """
    limits = {"inodes": 20_000}
    report = probe(code, timeout=30, limits=limits, after=[["list", "."], ["read", "d"]])
    assert report.answer <= 20_000
    assert report.survivors == 0
    assert ["d", "directory"] in report.after[0]["names"]
    assert "refused" in report.after[1]


@pytest.mark.crossed
def test_a_flood_of_output_does_not_fill_memory(probe: Probe) -> None:
    code = """
    import os
    block = b"x" * (1 << 20)
    for _ in range(600):
        os.write(1, block)
    """
    report = probe.within(_GIB // 2, code, timeout=20)
    assert report.outcome == "ok"
    assert report.stdout_total == 600 * MIB
