"""What the kernel counts for all, or for all of a user: one sandbox leaves the others theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.security.probing import NO_FILTER, Probe

pytestmark = pytest.mark.crossed

_AIO = """
import ctypes, json
libc = ctypes.CDLL(None, use_errno=True)
contexts = [ctypes.c_ulong(0) for _ in range(20)]
made = [libc.syscall(206, 4096, ctypes.byref(context)) for context in contexts]
print(json.dumps([made.count(0), ctypes.get_errno(), open("/proc/sys/fs/aio-nr").read().strip()]))
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number is that of x86_64")
def test_a_sandbox_takes_no_asynchronous_requests_from_the_host(probe: Probe) -> None:
    """fs.aio-max-nr is for the whole machine."""
    made, errno, _ = probe(_AIO).answer
    assert (made, errno) == (0, 38)
    made, _, _ = probe(_AIO, weak=NO_FILTER).answer
    assert made >= 1


# One of them. A sandbox takes all it can get; later its neighbour asks for one.
_ONE = {"inotify instances": "libc.inotify_init()", "terminals": "os.open('/dev/ptmx', os.O_RDWR)"}
_HOARD = """
import ctypes, os, time
libc = ctypes.CDLL(None)
for _ in range(24):
    if os.fork() == 0:
        kept = []
        try:
            while len(kept) < 240:
                kept.append({one})
        except OSError:
            pass
        time.sleep(10)
        os._exit(0)
time.sleep(10)
"""


@pytest.mark.parametrize("what", _ONE)
def test_a_sandbox_that_takes_all_leaves_its_neighbour_some(probe: Probe, what: str) -> None:
    hoard = _HOARD.format(one=_ONE[what])
    code = f"""
    import ctypes, json, os, time
    libc = ctypes.CDLL(None)
    time.sleep(2.5)
    print(json.dumps({_ONE[what]} >= 0))
    """
    assert probe(code, neighbour=hoard).answer is True


def test_a_sandbox_that_takes_all_inotify_instances_leaves_its_user_some(probe: Probe) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    count = "sum(libc.inotify_init() >= 0 for _ in range(250))"
    inside = probe(
        f"import ctypes, json\nlibc = ctypes.CDLL(None)\nprint(json.dumps({count}))"
    ).answer
    # As root a sandbox has a user of its own; else it is given half of what there is, or less.
    assert inside <= most if probe.account == "root" else inside <= 64 < most


_EPOLL = """
import json, os, select, time
files = [os.eventfd(0) for _ in range(60)]
queues = [select.epoll() for _ in range(60)]
for file in files:
    for number in range(150, 250):
        os.dup2(file, number)
        for queue in queues:
            queue.register(number, select.EPOLLIN)
        os.close(number)
time.sleep(1)
print(json.dumps("all of them"))
"""


def test_a_sandbox_cannot_take_all_that_a_user_may_watch_by_epoll(probe: Probe) -> None:
    """360,000 of a few millions; a program that watches what it has open needs 200."""
    report = probe(_EPOLL)
    assert (report.outcome, report.detail) == (
        "oom",
        "memory limit 512 MiB, most of it where no process shows it",
    ), report
