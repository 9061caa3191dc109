"""Descriptors 3 and 4 of a cell, over which it is given its code and tells its results."""

from __future__ import annotations

import pytest

from tests.security.probing import Probe

pytestmark = pytest.mark.crossed

CHILDREN = """
import json, multiprocessing, os, subprocess, sys
LOOK = (
    "import os; print(*(os.readlink(f'/proc/self/fd/{n}') for n in (3, 4)"
    " if os.path.lexists(f'/proc/self/fd/{n}')))"
)
python = [sys.executable, "-c", LOOK]
channel = {os.readlink(f"/proc/self/fd/{number}") for number in (3, 4)}

def look():
    places = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return {os.readlink(place) for place in places if os.path.lexists(place)}

def told(start):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            start(write)
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as pipe:
        return set(pipe.read().split())

def forked(write):
    os.write(write, " ".join(look()).encode())

def executed(write):
    os.dup2(write, 1)
    os.execv(sys.executable, python)

def spawned(write):
    os.dup2(write, 1)
    os.waitpid(os.posix_spawn(sys.executable, python, os.environ), 0)

seen = {
    "fork": told(forked), "exec": told(executed), "posix_spawn": told(spawned),
    "subprocess": set(subprocess.run(python, close_fds=False, stdout=-1, text=True).stdout.split()),
    "shell": set(os.popen(f"ls -l /proc/self/fd").read().split()),
}
with multiprocessing.get_context("fork").Pool(1) as pool:
    seen["multiprocessing"] = pool.apply(look)
assert len(channel) == 2
print(json.dumps([name for name, found in seen.items() if found & channel]))
"""


def test_no_child_of_a_cell_has_its_channel(probe: Probe) -> None:
    assert probe(CHILDREN, cell=True).answer == []


def test_a_forged_end_ends_no_more_than_the_cell_s_own_report(probe: Probe) -> None:
    """What it still does is stopped with the sandbox, whose files and clock are as ever."""
    code = r"""
    import json, os, time
    frames = [
        {"type": "result", "text": "\x1b]0;pwned\x07::error::x", "is_main_result": True},
        {"type": "end"},
    ]
    for frame in frames:
        os.write(4, json.dumps(frame).encode() + b"\n")
    open("after", "w").write("went on")
    time.sleep(60)
    """
    report = probe(code, cell=True, timeout=5, after=[["read", "after"]])
    assert report.outcome in {"ok", "error", "timeout"}
    assert report.elapsed < 8
    assert report.survivors == 0
    assert set(report.after[0]) <= {"size", "text", "refused"}
