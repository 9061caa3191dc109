"""Files that sandboxes share with each other and with the host tell nothing of who uses them."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from tests.security.probing import NO_FILTER, Probe, Weak

pytestmark = pytest.mark.crossed

_SHARED = ["/usr/bin/env", "/usr/bin", "/usr/share", "/etc/ssl/certs", "/opt/e2brun/agent"]
_PYTHON = "[*SHARED, os.path.realpath(sys.executable), os.path.dirname(os.__file__), '/etc/passwd']"

# Watches all of them by inotify and by dnotify, its own home as well, and says what it hears.
WATCH = f"""
import ctypes, fcntl, json, os, select, signal, struct, sys, time
SHARED = {_SHARED}
libc = ctypes.CDLL(None, use_errno=True)
heard, watches = set(), {{}}
queue = libc.inotify_init1(0o4000)
places = {_PYTHON} + [os.getcwd()]
# First: what we open ourselves is heard as well.
kept = [os.open(place, os.O_RDONLY) for place in places[:-1] if os.path.isdir(place)]
for place in places:
    number = libc.inotify_add_watch(queue, place.encode(), 0xFFF)
    watches[number] = place
signal.signal(signal.SIGIO, lambda *_: heard.add("dnotify"))
for directory in kept:
    try:
        fcntl.fcntl(directory, 1026, 0x80000001)  # F_NOTIFY: DN_ACCESS, DN_MULTISHOT
    except OSError:
        pass
print("watching", flush=True)
end = time.monotonic() + 1.5
while time.monotonic() < end:
    if select.select([queue], [], [], 0.1)[0]:
        data = os.read(queue, 65536)
        while data:
            number, mask, cookie, size = struct.unpack("iIII", data[:16])
            heard.add(watches[number])
            data = data[16 + size :]
print(json.dumps(sorted(heard)), flush=True)
os._exit(0)  # not of a signal that is still to come
"""

USE = f"""
import os, subprocess, sys, time
SHARED = {_SHARED}
end = time.monotonic() + 10
while time.monotonic() < end:
    for place in {_PYTHON}:
        if os.path.isdir(place):
            os.listdir(place)
        else:
            open(place, "rb").read(1)
    subprocess.run(["/usr/bin/env", "true"])
    time.sleep(0.2)
"""


@contextmanager
def _in_use_on_the_host(probe: Probe) -> Generator[None]:
    process = subprocess.Popen([probe.python, "-c", USE.replace("/opt/e2brun/agent", "/usr")])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_a_sandbox_hears_nothing_of_what_the_host_opens(probe: Probe) -> None:
    with _in_use_on_the_host(probe):
        assert probe(WATCH).answer == []
        weak = Weak(add=("--ro-bind", "/usr", "/usr"))
        assert "/usr/bin/env" in probe(WATCH, weak=weak).answer


def test_a_sandbox_hears_nothing_of_what_its_neighbour_opens(probe: Probe) -> None:
    assert probe(WATCH, neighbour=USE).answer == []


def test_a_sandbox_hears_of_its_own_files(probe: Probe) -> None:
    code = "import threading\ndef write():\n    time.sleep(1)\n    open('new', 'w').close()\n"
    lines = WATCH.replace('print("watching", flush=True)', "threading.Thread(target=write).start()")
    assert "/home/user" in probe(f"import time\n{code}{lines}").answer


_LOCK = """
import fcntl, json, time
file = open("/usr/bin/env", "rb")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(WAIT)
print(json.dumps("held"))
"""


def test_a_lock_on_a_shared_file_holds_nobody_up(probe: Probe) -> None:
    """Read-only, it can be locked all the same (flock(2))."""
    assert probe(_LOCK.replace("WAIT", "0"), neighbour=_LOCK.replace("WAIT", "8")).answer == "held"
    with open("/usr/bin/env", "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert probe(_LOCK.replace("WAIT", "0")).answer == "held"
        weak = Weak(add=("--ro-bind", "/usr", "/usr"))
        assert probe(_LOCK.replace("WAIT", "0"), weak=weak, timeout=2).outcome == "timeout"


def test_a_sandbox_cannot_have_a_shared_file_forgotten(probe: Probe) -> None:
    """Or how long it takes to read it again would tell whether others have read it meanwhile."""
    code = """
    import json, os
    with open("/usr/bin/env", "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:  # made by the kernel, it would find that there is no such file
        print(json.dumps(os.posix_fadvise(250, 0, 0, os.POSIX_FADV_DONTNEED)))
    except OSError as error:
        print(json.dumps(error.strerror))
    """
    assert probe(code).answer is None
    assert probe(code, weak=NO_FILTER).answer == "Bad file descriptor"
