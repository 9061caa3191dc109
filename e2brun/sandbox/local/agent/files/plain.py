"""Files in and out, from inside: whatever a name here points to, it points inside."""

from __future__ import annotations

import errno
import os
import stat

PIECE = 1024 * 1024


def write(path: str, data: bytes, descriptors: list[int], mode: int) -> None:
    """Create or replace a regular file from bytes, or from a pipe until its end."""
    directory = os.path.dirname(path)
    if directory:
        os.makedirs(directory, exist_ok=True)
    # NONBLOCK: a FIFO waiting under this name must not hold us up.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path, flags, mode)
    try:
        _only_regular(file, path)
        os.ftruncate(file, 0)
        if data:
            _write_all(file, data)
        while descriptors:
            piece = os.read(descriptors[0], PIECE)
            if not piece:
                break
            _write_all(file, piece)
        os.fchmod(file, mode)
    finally:
        os.close(file)


def read(path: str, pipe: int) -> None:
    """Copy a regular file into `pipe`."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _only_regular(file, path)
        while True:
            piece = os.read(file, PIECE)
            if not piece:
                return
            _write_all(pipe, piece)
    finally:
        os.close(file)


def names(path: str, pipe: int) -> None:
    """`kind size name NUL` for each entry of a directory, into `pipe`."""
    with os.scandir(os.fsencode(path)) as entries:
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone since
            record = f"{_kind(facts.st_mode)} {facts.st_size} ".encode()
            _write_all(pipe, record + entry.name + b"\0")


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "other"


def _only_regular(file: int, path: str) -> None:
    mode = os.fstat(file).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
