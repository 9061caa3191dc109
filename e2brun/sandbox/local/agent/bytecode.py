"""Compile the files of a layer whose names are on stdin, and print what comes of it.

    bytecode.py DIRECTORY MEMORY < names, NUL between them
    stdout: number of the file and size, 4 bytes each, big-endian, and the compiled file; and so on

One process for each processor, each with its part of the memory. One that dies over a file (the
time for it is up, the compiler crashed) is replaced by another that goes on behind it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import resource
import signal
import struct
import sys
from importlib.util import MAGIC_NUMBER
from marshal import dumps

_SECONDS = 10.0  # of a processor, for one file
_MOST_WORKERS = 4
_HEADER = struct.Struct(">II")
# PEP 552: by hash, and not to be checked. A layer never changes, and keeps no times when copied.
_UNCHECKED = struct.pack("<I", 1) + bytes(8)


def main() -> None:
    """The part of each worker is every n-th file."""
    directory, memory = sys.argv[1], int(sys.argv[2])
    names = sys.stdin.buffer.read().split(b"\0")
    paths = [os.fsencode(directory) + b"/" + name for name in names]
    count = min(_MOST_WORKERS, len(os.sched_getaffinity(0)), len(paths))
    turn = os.open(".", os.O_RDWR | os.O_TMPFILE)
    positions = memoryview(mmap.mmap(-1, 4 * count)).cast("I")
    limit = memory // (count + 1)
    alive: dict[int, int] = {}
    for worker in range(count):
        positions[worker] = worker
        alive[_fork(worker, paths, positions, turn, limit)] = worker
    while alive:
        pid, status = os.wait()
        worker = alive.pop(pid)
        positions[worker] += count  # what it died of
        if status != 0 and positions[worker] < len(paths):
            alive[_fork(worker, paths, positions, turn, limit)] = worker


def _fork(worker: int, paths: list[bytes], positions: memoryview, turn: int, memory: int) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            _work(worker, paths, positions, turn)
            status = 0
        finally:
            os._exit(status)
    return pid


def _work(worker: int, paths: list[bytes], positions: memoryview, turn: int) -> None:
    while positions[worker] < len(paths):
        number = positions[worker]
        signal.setitimer(signal.ITIMER_PROF, _SECONDS)
        compiled = _compiled(paths[number])
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        if compiled:
            fcntl.lockf(turn, fcntl.LOCK_EX)  # each process has its own, of one descriptor
            _print(_HEADER.pack(number, len(compiled)) + compiled)
            fcntl.lockf(turn, fcntl.LOCK_UN)
        positions[worker] += len(positions)


def _compiled(path: bytes) -> bytes:
    """Nothing where there is no such file, it is no Python, or it takes too much memory."""
    try:
        with open(path, "rb") as file:
            source = file.read()
        code = compile(source, os.fsdecode(path), "exec", dont_inherit=True)
        return MAGIC_NUMBER + _UNCHECKED + dumps(code)
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
        return b""


def _print(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    main()
