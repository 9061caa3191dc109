"""Which process a sandbox belongs to, as its metadata says, and whether that process is dead.

A pid alone says nothing: it is used again, and every machine and container has one of its own.
So the mark names the kernel's boot, the pid namespace and the moment the process started.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

OWNER = "e2brun_owner"
KEPT = "e2brun_kept"
"""Metadata of a sandbox that its run was told to leave (`exec --keep`)."""


def owner_mark() -> str:
    """Of this process."""
    return _mark(os.getpid())


def is_left_behind(metadata: Mapping[str, str]) -> bool:
    """Whether a run of ours on this machine made it, did not mean to leave it, and is dead."""
    if KEPT in metadata or "e2brun_run" not in metadata:
        return False
    return is_dead(metadata.get(OWNER, "")) is True


def is_dead(mark: str) -> bool | None:
    """Whether the process that had this mark is gone; None: nobody here can tell."""
    machine, _, process = mark.rpartition("/")
    pid = process.partition(".")[0]
    if machine != _machine() or not (pid.isascii() and pid.isdecimal()) or _hidden(int(pid)):
        return None  # another machine, or another container
    return _mark(int(pid)) != mark


def _hidden(pid: int) -> bool:
    """Whether it is another user's, and /proc may not show it: then nobody here can tell."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _mark(pid: int) -> str:
    return f"{_machine()}/{pid}.{_started(pid)}"


def _machine() -> str:
    boot = namespace = "?"
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    with suppress(OSError):
        namespace = str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116
    return f"{boot}/{namespace}"


def _started(pid: int) -> str:
    """In clock ticks since boot; empty for a process that is gone, or that nobody waited for."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {b"Z", b"X"} else fields[19].decode("ascii")
