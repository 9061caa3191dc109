"""Run inside a sandbox: all that a program can see of where it is, as JSON on stdout."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import sys
import zlib
from typing import Any

_NOT_OPENED = ("/usr", "/proc", "/etc/ssl/certs", sys.base_prefix)
_MOUNTS = "/etc/mtab"
_OF_A_PROCESS = (
    "attr/current", "cgroup", "cmdline", "comm", "coredump_filter", "environ", "gid_map",
    "limits", "loginuid", "oom_score_adj", "personality", "projid_map", "sessionid",
    "setgroups", "timens_offsets", "uid_map",
)  # fmt: skip


def _text(path: str, shown: int = 2048) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        return f"errno {error.errno}"
    if len(content) > shown:
        return f"{len(content)} bytes {zlib.crc32(content)}"
    return content.decode(errors="replace")


def _facts(path: str) -> list[Any]:
    try:
        found = os.lstat(path)
    except OSError as error:
        return [error.errno]
    link = os.readlink(path) if stat.S_ISLNK(found.st_mode) else ""
    size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    mode = stat.filemode(found.st_mode)
    return [mode, found.st_uid, found.st_gid, size, found.st_rdev, link]


def _tree(top: str) -> dict[str, Any]:
    found = {top: _facts(top)}
    for directory, names, files in os.walk(top):
        paths = [os.path.join(directory, name) for name in (*names, *files)]
        found |= {path: _facts(path) for path in paths}
        names[:] = [name for name in names if os.path.join(directory, name) not in _NOT_OPENED]
    return found


def _status(pid: str) -> dict[str, str]:
    lines = [line.partition(":\t") for line in _text(f"/proc/{pid}/status").splitlines()]
    return {name: value for name, _, value in lines}


def _mounts() -> list[str]:
    """Without numbers: of mounts, of their parents, of devices."""
    lines = _text("/proc/self/mountinfo", 1 << 20).splitlines()
    return sorted(" ".join(line.split()[3:]) for line in lines)


def _descriptors() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}").partition(":")[0]
        except OSError:  # the one that reads the directory
            continue
    return found


def _sizes(path: str) -> list[int]:
    found = os.statvfs(path)
    return [found.f_bsize, found.f_blocks, found.f_files, found.f_namemax, found.f_flag]


def view() -> dict[str, Any]:
    """By kind."""
    tree = _tree("/")
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    umask = os.umask(0o022)
    os.umask(umask)
    return {
        "tree": tree,
        "etc": {path: _text(path) for path in tree if path.startswith("/etc/") and path != _MOUNTS},
        "mounts": _mounts(),
        "sizes": {path: _sizes(path) for path in ("/", "/home/user", "/tmp", "/dev/shm", "/etc")},
        "proc": {n: _facts(f"/proc/{n}")[:3] for n in os.listdir("/proc") if not n.isdigit()},
        "settings": {path: [facts[:3], _text(path)] for path, facts in _tree("/proc/sys").items()},
        "of the host": {n: _text(f"/proc/{n}") for n in ("cmdline", "config.gz", "keys", "locks")},
        "environment": dict(os.environ),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in names},
        "user": [os.getresuid(), os.getresgid(), os.getgroups()],
        "process": [os.getpid(), os.getppid(), os.getpgrp(), os.getsid(0), os.nice(0), umask],
        "first process": [os.getpgid(1), os.getsid(1)],
        "status": {pid: _status(pid) for pid in ("self", "1")},
        "files": {
            pid: {n: _text(f"/proc/{pid}/{n}") for n in _OF_A_PROCESS} for pid in ("self", "1")
        },
        "descriptors": _descriptors(),
        "network": {n: _text(f"/proc/net/{n}") for n in ("dev", "route", "if_inet6", "unix")},
        "system": list(os.uname()),
        "processors": [os.sched_getscheduler(0), sorted(os.sched_getaffinity(0))],
        "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        "python": [sys.path, str(sys.flags), sys.executable, sys.orig_argv, sys.prefix],
        "modules": sorted(sys.modules),
        "directory": os.getcwd(),
    }


print(json.dumps(view(), default=str))
