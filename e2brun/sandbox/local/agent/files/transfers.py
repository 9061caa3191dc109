"""Contents of files, in and out; small ones in the message, others through a pipe."""

from __future__ import annotations

import errno
import os
import stat

from ..descriptors import write_all
from . import entries
from .plain import copy, forced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Request = dict[str, Any]

PEEK_LIMIT = 64 * 1024
_QUIET = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a FIFO must not hold us up


def write(request: Request) -> str:
    """Make or replace the file `path` with `data`, one write for all of it."""
    file = _prepared(request)
    try:
        write_all(file, request["data"])
        return entries.metadata_text(file)
    finally:
        os.close(file)


def receive(request: Request, descriptors: list[int]) -> str:
    """The same with what comes through a pipe, until its end."""
    file = _prepared(request)
    try:
        copy(descriptors[0], file)
        return entries.metadata_text(file)
    finally:
        os.close(file)


def peek(request: Request) -> tuple[str, bytes]:
    """What `path` is, and all of it where it is small: [size, mtime in ns, all of it, sized]."""
    file = _readable(request["path"])
    try:
        facts = os.fstat(file)
        regular = stat.S_ISREG(facts.st_mode)
        content = b""
        whole = False
        if regular and facts.st_size <= PEEK_LIMIT:
            content, whole = _up_to(file, PEEK_LIMIT)
        # What the kernel makes up as it is read has no size to go by.
        sized = regular and (whole or facts.st_size > 0)
        head = (len(content) if whole else facts.st_size, facts.st_mtime_ns, whole, sized)
        return (_list(head), content if whole else b"")
    finally:
        os.close(file)


def pour(request: Request, descriptors: list[int]) -> str:
    """`length` bytes (-1: all) of `path` from `offset` on, into a pipe; says how many."""
    file = _readable(request["path"])
    try:
        os.set_blocking(file, True)
        if request["offset"]:
            os.lseek(file, request["offset"], os.SEEK_SET)
        length = request["length"]
        poured = copy(file, descriptors[0]) if length < 0 else copy(file, descriptors[0], length)
        return _list((poured,))
    finally:
        os.close(file)


def _prepared(request: Request) -> int:
    """The file, open and empty. In this order: who watches sees it made, given, then written."""
    path: bytes = request["path"]
    directory = os.path.dirname(path)
    if directory and not os.path.isdir(directory):
        os.makedirs(directory, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _QUIET
    file = forced(lambda: os.open(path, flags, 0o666), path, stat.S_IWUSR)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        os.fchown(file, os.getuid(), os.getgid())
        _set_metadata(file, request["metadata"])
    except BaseException:
        os.close(file)
        raise
    return file


def _readable(path: bytes) -> int:
    file = forced(lambda: os.open(path, os.O_RDONLY | _QUIET), path, stat.S_IRUSR)
    mode = os.fstat(file).st_mode
    if stat.S_ISREG(mode) or stat.S_ISCHR(mode):
        return file
    os.close(file)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.EINVAL, "not a regular file")


def _set_metadata(file: int, wanted: dict[str, str]) -> None:
    """Replace what the file had. A file system without such attributes keeps none."""
    try:
        for key in entries.metadata(file):
            if key not in wanted:
                os.removexattr(file, entries.PREFIX + key)
        for key, value in wanted.items():
            os.setxattr(file, entries.PREFIX + key, value.encode("latin-1"))
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _up_to(file: int, limit: int) -> tuple[bytes, bool]:
    """What can be read, and whether that is all; (b"", False) past `limit`."""
    content = b""
    while piece := os.read(file, limit + 1 - len(content)):
        content += piece
        if len(content) > limit:
            return b"", False
    return content, True


def _list(values: tuple[object, ...]) -> str:
    return "[" + ",".join(str(value).lower() for value in values) + "]"
