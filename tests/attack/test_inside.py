"""Hostile code in one sandbox against its first process, its limits, the others and the host."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import textwrap
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import pytest

from tests.attack.wire import INTERPRETER, Sandbox, Wire, envelope
from tests.sdk.serving import Serving

_STREAM = {"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"}


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


def _start(wire: Wire, sandbox: Sandbox, program: str, **more: object) -> None:
    """Start a shell line; returns when the sandbox no longer answers about it."""
    process = {"cmd": "/bin/bash", "args": ["-c", program]}
    request = envelope(_json({"process": process, "stdin": False, **more}))
    wire.envd(sandbox, "POST", "/process.Process/Start", request, _STREAM)


@contextmanager
def _meanwhile(wire: Wire, sandbox: Sandbox, program: str, user: str = "user") -> Generator[None]:
    """With this program running."""
    as_user = {"Authorization": {"user": "Basic dXNlcjo=", "root": "Basic cm9vdDo="}[user]}
    process = {"cmd": "/bin/bash", "args": ["-c", program]}
    request = envelope(_json({"process": process, "stdin": False}))
    arguments = (sandbox, "POST", "/process.Process/Start", request, {**_STREAM, **as_user})
    thread = threading.Thread(target=wire.envd, args=arguments)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _write(wire: Wire, sandbox: Sandbox, path: str, text: str) -> None:
    kind = {"Content-Type": "application/octet-stream"}
    answer = wire.envd(sandbox, "POST", f"/files?path={path}", textwrap.dedent(text).encode(), kind)
    assert answer.status == 200, answer


def test_the_first_process_imports_nothing_from_inside(wire: Wire, stranger: Sandbox) -> None:
    library = f"{sys.base_prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}"
    line = f"""
    library={library}
    for directory in $(python3 -c '
    import pathlib, sys
    print(*reversed(pathlib.Path(sys.argv[1]).parents))' $library); do
        mv -T $directory $directory.moved 2>/dev/null
    done
    mkdir -p $library 2>/dev/null
    for name in termios tty pty shutil json ctypes; do
        echo 'open("/tmp/owned", "a").write("mine")' > $library/$name.py
    done 2>/dev/null
    """
    wire.run(stranger, textwrap.dedent(line))
    _start(wire, stranger, "true", pty={"size": {"cols": 80, "rows": 24}})
    wire.run(stranger, "sudo true")
    assert wire.is_healthy(stranger)
    assert wire.run(stranger, "ls /tmp/owned 2>&1; true") != b"/tmp/owned\n"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these numbers are x86_64's")
@pytest.mark.parametrize("sudo", ["", "sudo "])
def test_every_program_of_a_service_is_behind_its_filters(
    wire: Wire, stranger: Sandbox, sudo: str
) -> None:
    """Also from what pid 1 itself may call: it makes somebody root by setns."""
    program = """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (101, 155, 165, 166, 170, 272, 308, 429):
        libc.syscall(number, *[ctypes.c_ulong(2**64 - 1)] * 6)
        print(ctypes.get_errno(), end=" ")
    for number, *words in ((317, 1, 0), (157, 22, 2)):  # a filter of its own
        libc.syscall(number, *words, None)
        print(ctypes.get_errno(), end=" ")
    """
    _write(wire, stranger, "/tmp/calls.py", program)
    said = wire.run(stranger, f"{sudo}python3 /tmp/calls.py").split()
    assert said == [b"1"] * 7 + [b"38", b"22", b"22"]


_BOMB = """
    import os, sys, time
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.05)
    for _ in range(200):
        try:
            if os.fork() == 0:
                time.sleep(2.5)
                os._exit(0)
        except OSError:
            break
    open(sys.argv[2], "w").close()
    time.sleep(2.5)
    """


def test_root_s_processes_count_with_the_user_s(wire: Wire, stranger: Sandbox) -> None:
    _write(wire, stranger, "/tmp/bomb.py", _BOMB)
    # Counts without a process more: both bombs are waiting where it starts.
    count = """
    import os, time
    while not os.path.exists("/tmp/third"):
        time.sleep(0.05)
    print(sum(name.isdigit() for name in os.listdir("/proc")), flush=True)
    """
    _write(wire, stranger, "/tmp/count.py", count)
    root = "exec python3 /tmp/bomb.py /tmp/second /tmp/third"
    user = "exec python3 /tmp/bomb.py /tmp/first /tmp/second"
    with _meanwhile(wire, stranger, root, "root"), _meanwhile(wire, stranger, user):
        time.sleep(0.5)
        found = wire.run(stranger, "touch /tmp/first; exec python3 /tmp/count.py")
    assert 40 < int(found) <= 70  # not twice the 64


_HOARD = """
    import ctypes, os, signal, sys, time
    libc = ctypes.CDLL(None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGRTMIN])
    queued = ctypes.c_void_p()
    print(
        sum(libc.inotify_init() >= 0 for _ in range(150)) > 0,
        sum(libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), queued) == 0 for _ in range(200_000))
        > 0,
        flush=True,
    )
    time.sleep(float(sys.argv[1]))
    """


@pytest.mark.alone  # inotify is counted for the whole machine
def test_kernel_objects_of_one_leave_others_and_the_host_theirs(
    wire: Wire, victim: Sandbox, stranger: Sandbox
) -> None:
    for sandbox in (victim, stranger):
        _write(wire, sandbox, "/tmp/hoard.py", _HOARD)
    with _meanwhile(wire, stranger, "for i in 1 2; do python3 /tmp/hoard.py 5 & done; wait"):
        time.sleep(2.5)
        descriptor = ctypes.CDLL(None).inotify_init()
        assert descriptor >= 0
        os.close(descriptor)
        assert wire.run(victim, "python3 /tmp/hoard.py 0") == b"True True\n"


def test_a_context_s_memory_names_no_other_sandbox(wire: Wire) -> None:
    code = r"""
    import re
    found = set()
    for line in open("/proc/self/maps"):
        span, rights, *_ = line.split()
        if "r" in rights and "[v" not in line:
            start, end = (int(half, 16) for half in span.split("-"))
            with open("/proc/self/mem", "rb") as memory:
                memory.seek(start)
                data = memory.read(end - start)
            found |= set(re.findall(rb"(?<![a-z0-9])i[a-z0-9]{19}(?![a-z0-9])", data))
    print("found", *sorted(one.decode() for one in found))
    """
    made = [wire.create() for _ in range(6)]
    try:
        mine = made[-1]
        answer = wire.inside(
            mine,
            INTERPRETER,
            "POST",
            "/execute",
            {"code": textwrap.dedent(code)},
            {"X-Access-Token": mine.token},
        )
        assert answer.status == 200
        assert mine.id.encode() in answer.body
        assert [one.id for one in made[:-1] if one.id.encode() in answer.body] == []
        ids = {word for word in answer.body.decode().split() if word.isalnum() and len(word) == 20}
        assert len({word for word in ids if word[1:].strip("abcdefghijklmnopqrstuvwxyz")}) <= 1
    finally:
        for sandbox in made:
            wire.kill(sandbox)


def test_what_stops_every_new_process_stops_nobody_else(wire: Wire, victim: Sandbox) -> None:
    """Requests pile up before the first process, which waits for children that are stopped."""
    if not wire.run(victim, "command -v gcc"):
        pytest.skip("no compiler")
    mine = wire.create()
    wire.run(
        mine,
        "cd /tmp; echo '#include <signal.h>\nint main() { for (;;) kill(-1, SIGSTOP); }' > s.c;"
        "gcc -O2 -o s s.c",
    )
    big = {f"X{number}": "y" * 9000 for number in range(9)}
    process = {"cmd": "/bin/true", "envs": big}
    request = envelope(_json({"process": process, "stdin": False}))

    def start(line: bytes) -> None:
        with suppress(OSError):  # it was killed, or does not answer in time
            wire.envd(mine, "POST", "/process.Process/Start", line, _STREAM)

    stopper = envelope(_json({"process": {"cmd": "/tmp/s"}, "stdin": False}))
    threads = [threading.Thread(target=start, args=(line,)) for line in (stopper, *[request] * 12)]
    threads[0].start()
    time.sleep(0.5)
    for thread in threads[1:]:
        thread.start()
    end, longest = time.monotonic() + 4, 0.0
    while (started := time.monotonic()) < end:
        assert wire.is_healthy(victim)
        longest = max(longest, time.monotonic() - started)
        time.sleep(0.05)
    assert longest < 3
    wire.kill(mine)
    for thread in threads:
        thread.join()


def test_a_listing_of_long_names_stays_bounded(
    wire: Wire, service: Serving, stranger: Sandbox
) -> None:
    code = r"""
    import os
    os.chdir("/tmp")
    for _ in range(14):
        os.mkdir("\xe9" * 120)
        os.chdir("\xe9" * 120)
    for number in range(45_000):
        os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))
    """
    _write(wire, stranger, "/tmp/long.py", code)
    wire.run(stranger, "python3 /tmp/long.py")
    before = _highest(service.pid)
    listed = wire.envd(
        stranger, "POST", "/filesystem.Filesystem/ListDir", {"path": "/tmp", "depth": 20}
    )
    assert listed.status >= 400
    assert _highest(service.pid) - before < 600 * 1024
    assert wire.is_healthy(stranger)


def _highest(pid: int) -> int:
    """The most memory it ever had, in KiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
