"""What the kernel keeps for programs and counts for nobody, or for a user: each is refused, or
there are so many of it for a whole sandbox."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.security.probing import Probe

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="the numbers in here are those of x86_64"
)

_LOOK = """
import ctypes, errno, fcntl, json, os, resource, socket, struct
libc = ctypes.CDLL(None, use_errno=True)
found = {}

def call(number, *words):
    words = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in words]
    result = libc.syscall(ctypes.c_long(number), *words)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"

def python(function):
    try:
        function()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]

def count(function, most):
    kept = []
    try:
        while len(kept) < most:
            kept.append(function())
    except OSError:
        pass
    number = len(kept)
    for one in kept:
        if isinstance(one, int):
            os.close(one)
    return number

one, two = socket.socketpair()
found["a keyring"] = call(250, 1, b"x")  # KEYCTL_JOIN_SESSION_KEYRING
found["a key"] = call(248, b"user", b"x", b"x", 1, -2 & 2**64 - 1)
found["a message queue"] = call(240, b"x", 0o102, 0o600, 0)
found["a System V queue"] = call(68, 0, 0o1600)
found["semaphores"] = call(64, 0, 1, 0o1600)
found["shared memory"] = call(29, 0, 4096, 0o1600)
found["a map of BPF"] = call(321, 0, ctypes.create_string_buffer(struct.pack("6I", 2, 4, 4, 1, 0, 0)
    .ljust(120, b"\\0"), 120), 120)
found["userfaultfd"] = call(323, 1)
found["userfaultfd's device"] = os.path.exists("/dev/userfaultfd")
found["perf"] = call(298, ctypes.create_string_buffer(struct.pack("IIQ", 1, 120, 0)
    .ljust(120, b"\\0"), 120), 0, -1 & 2**64 - 1, -1 & 2**64 - 1, 0)
found["asynchronous requests"] = call(206, 10, ctypes.byref(ctypes.c_ulong(0)))
found["an io_uring"] = call(425, 4, ctypes.create_string_buffer(120))
found["memory without a name"] = call(319, b"x", 0)
found["secret memory"] = call(447, 0)
found["a ruleset of Landlock"] = call(444, struct.pack("QQ", 7, 0), 8, 0)
found["a queue of fanotify"] = call(300, 0, 0)
found["a handle of a file"] = call(303, -100 & 2**64 - 1, b"/", ctypes.create_string_buffer(200),
    ctypes.byref(ctypes.c_int(0)), 0)
found["zero-copy"] = python(lambda: one.setsockopt(1, 60, 1))
found["reserved room"] = python(lambda: one.setsockopt(1, 73, 1 << 20))
found["a filter"] = python(lambda: one.setsockopt(1, 26, struct.pack("HxxxxxxQ", 1, 0)))
found["larger buffers"] = one.setsockopt(1, 7, 8 << 20) or one.getsockopt(1, 7) > 1 << 20
found["larger buffers by force"] = python(lambda: one.setsockopt(1, 32, 8 << 20))
found["a table of futexes"] = call(157, 78, 1, 16, 0, 0)
found["a page in a pipe"] = call(275, 0, 0, 1, 0, 1, 0)

timer = ctypes.c_int(0)
def made(result):
    if result < 0:
        raise OSError
    return result

found["timers"] = count(lambda: str(made(libc.syscall(222, 0, None, ctypes.byref(timer)))), 100_000)
read, write = os.pipe()
found["pipe sizes"] = python(lambda: fcntl.fcntl(write, 1031, 512 << 20))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
found["open files"] = count(lambda: os.open("/", os.O_PATH), 100_000)
found["pidfds"] = count(lambda: os.pidfd_open(os.getpid()), 100_000)
found["terminals"] = count(lambda: os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY), 1000)
found["instances of inotify"] = count(lambda: made(libc.inotify_init()), 1000)
found["room in attributes"] = 0
open("attributed", "w").close()
try:
    while found["room in attributes"] < 4096 << 20:
        name = f"user.{found['room in attributes']}"
        os.setxattr("attributed", name, bytes(1000))
        found["room in attributes"] += 1000
except OSError:
    pass
entries = [(1, -1), *[(2, os.getuid())] * 8000, (4, -1), (16, -1), (32, -1)]
rights = b"".join(struct.pack("=HHi", tag, 4, who) for tag, who in entries)
found["a long list of rights"] = python(
    lambda: os.setxattr("attributed", "system.posix_acl_access", b"\\2\\0\\0\\0" + rights))
print(json.dumps(found))
"""
_PERM, _NONE = "EPERM", "ENOSYS"
_REFUSED = {
    "a keyring": _PERM, "a key": _PERM, "a message queue": _NONE, "a System V queue": _NONE,
    "semaphores": _NONE, "shared memory": _NONE, "a map of BPF": _PERM, "userfaultfd": _PERM,
    "userfaultfd's device": False, "perf": _PERM, "asynchronous requests": _NONE,
    "an io_uring": _NONE, "memory without a name": _NONE, "secret memory": _PERM,
    "a ruleset of Landlock": _NONE, "a queue of fanotify": _PERM, "a handle of a file": _PERM,
    "zero-copy": _PERM, "reserved room": _PERM, "a filter": _PERM, "larger buffers": False,
    "larger buffers by force": _PERM, "a table of futexes": _PERM,
    "a page in a pipe": "EINVAL", "pipe sizes": _PERM, "a long list of rights": "ENOSPC",
}  # fmt: skip
_AT_MOST = {
    "timers": 4096, "open files": 256, "pidfds": 256, "terminals": 64,
    "instances of inotify": 128, "room in attributes": 512 << 20,
}  # fmt: skip


def test_what_the_kernel_counts_for_nobody_is_refused_or_limited(probe: Probe) -> None:
    found: dict[str, Any] = probe(_LOOK, timeout=30).answer
    counts = {name: found.pop(name) for name in _AT_MOST}
    assert found == _REFUSED
    assert {name: n for name, n in counts.items() if n > _AT_MOST[name]} == {}
    assert all(counts.values()), counts  # each can be had, or nothing is shown
