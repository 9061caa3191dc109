"""What the caller knows does not get in: environment, command line, memory."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tests.security.probing import NO_FILTER, Probe

pytestmark = pytest.mark.crossed

_SECRET = "sesame-7f3a91"

_SEARCH = """
import json, os
needle = b"sesame" + b"-7f3a91"
places = []
if any(needle in os.fsencode(k + v) for k, v in os.environ.items()):
    places.append("environment")
for pid in filter(str.isdigit, os.listdir("/proc")):
    names = ["environ", "cmdline", "comm", "status", "mountinfo", "mounts", "cgroup", "maps"]
    names += [f"task/{pid}/{name}" for name in ("environ", "cmdline", "comm")]
    for name in names:
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                if needle in file.read():
                    places.append(f"{pid if pid == '1' else 'self'}/{name}")
        except OSError:
            pass
for top in TOPS:
    for directory, _, names in os.walk(top):
        for name in names:
            try:
                with open(f"{directory}/{name}", "rb") as file:
                    if needle in file.read(1 << 20):
                        places.append(f"{directory}/{name}")
            except OSError:
                pass
print(json.dumps(sorted(set(places))))
"""

_MEMORY = """
import ctypes, json, os
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # or a cell could not read its own
# All that this process and its parent let us read of their memory. The whole needle never lies
# in memory of ours: its second half is known by the numbers of its characters.
half, rest = b"sesame", [45, 55, 102, 51, 97, 57, 49]
found = []
for pid in ("1", "self"):
    try:
        maps = open(f"/proc/{pid}/maps").readlines()
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
    except OSError:
        continue
    for line in maps:
        span, rights, *_ = line.split()
        if not rights.startswith("rw"):
            continue
        start, end = (int(at, 16) for at in span.split("-"))
        try:
            memory.seek(start)
            block = memory.read(end - start)
        except OSError:
            continue
        at = block.find(half)
        while at >= 0:
            if list(block[at + len(half) : at + len(half) + len(rest)]) == rest:
                found.append(pid)
            at = block.find(half, at + 1)
print(json.dumps(sorted(set(found))))
"""


def test_neither_environment_nor_command_line_of_the_caller_gets_in(probe: Probe) -> None:
    environment = {"E2B_API_KEY": _SECRET, "AWS_SECRET_ACCESS_KEY": _SECRET}
    words = ["--api-key", _SECRET]
    tops = ["/etc", "/home", "/tmp", "/run", "/opt", "/dev/shm"]
    inside = f"TOPS = {tops}\n{_SEARCH}"
    assert probe(inside, environment=environment, words=words).answer == []
    found = probe.outside(f"TOPS = []\n{_SEARCH}", environment=environment)
    assert {"environment", "self/environ"} <= set(found)


def test_the_environment_inside_has_known_names_only(probe: Probe) -> None:
    code = "import json, os; print(json.dumps(sorted(os.environ)))"
    known = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "PYTHONUNBUFFERED", "LC_CTYPE"}
    known |= {"E2B_SANDBOX", "E2B_SANDBOX_ID", "E2B_TEMPLATE_ID", "E2B_EVENTS_ADDRESS"}
    known |= {
        "OPENBLAS_NUM_THREADS",
        "PYTHONUSERBASE",
        "npm_config_fetch_retries",
        "npm_config_prefix",
    }
    assert set(probe(code, environment={"ODDLY_NAMED": "x"}).answer) <= known
    assert "ODDLY_NAMED" in probe.outside(code, environment={"ODDLY_NAMED": "x"})


def test_the_memory_of_the_caller_does_not_get_in(probe: Probe) -> None:
    """The launcher is a fork of the caller, which holds the key."""
    environment = {"E2B_API_KEY": _SECRET}
    for cell in (False, True) if probe.account == "root" else (False,):
        assert probe(_MEMORY, environment=environment, cell=cell).answer == []
    assert "self" in probe.outside(_MEMORY, environment=environment)


_NAMED = """
import ctypes, os, sys
number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
ctypes.CDLL(None).syscall(number, 1, b"sesame" + b"-7f3a91")
os.execvp(sys.argv[1], sys.argv[1:])
"""
_DESCRIBE = """
import ctypes, json, os
number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
told = ctypes.create_string_buffer(1000)
size = ctypes.CDLL(None).syscall(number, 6, ctypes.c_long(-3), told, 1000)
print(json.dumps([size, told.value.decode()]))
"""


def test_the_caller_s_keys_do_not_get_in(probe: Probe) -> None:
    named = replace(probe, prefix=(sys.executable, "-c", _NAMED, *probe.prefix))
    size, told = named.outside(_DESCRIBE)
    if size < 0:
        pytest.skip("this kernel keeps no keys")
    assert _SECRET in told
    assert named(_DESCRIBE).answer == [-1, ""]  # keyctl is refused ...
    size, told = named(_DESCRIBE, weak=NO_FILTER).answer  # ... and would say nothing
    assert size > 0
    assert _SECRET not in told
