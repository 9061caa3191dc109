"""Files in and out, from inside: whatever a name here points to, it points inside."""

from __future__ import annotations

import errno
import os
import stat

from ..descriptors import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Request = dict[str, Any]
    T = TypeVar("T")

_PIECE = 256 * 1024


def _operation(work: Callable[[Request, list[int]], None]) -> Callable[..., None]:
    def do(agent: Any, request: Request, descriptors: list[int]) -> None:
        try:
            work(request, descriptors)
        except OSError as error:
            if error.errno != errno.EPIPE:  # the host has seen enough
                raise OSError(error.errno, f"{request['path']}: {error.strerror}") from None
        if not request.get("needed"):  # or only a failure is told, when a program is to start
            agent.tell("done", request["id"])

    return do


@_operation
def write(request: Request, descriptors: list[int]) -> None:
    """Create or replace a regular file from the message itself, or from a pipe until its end."""
    path, mode = request["path"], request["mode"]
    directory = os.path.dirname(path)
    if directory:
        os.makedirs(directory, exist_ok=True)
    # NONBLOCK: a FIFO waiting under this name must not hold us up.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path, flags, mode)
    try:
        _only_regular(file, path)
        os.ftruncate(file, 0)
        write_all(file, request["data"])
        if descriptors:
            copy(descriptors[0], file)
        os.fchmod(file, mode)
    finally:
        os.close(file)


@_operation
def read(request: Request, descriptors: list[int]) -> None:
    """Copy a regular file into a pipe."""
    file = os.open(request["path"], os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _only_regular(file, request["path"])
        copy(file, descriptors[0])
    finally:
        os.close(file)


@_operation
def names(request: Request, descriptors: list[int]) -> None:
    """`kind size name NUL` for each entry of a directory, into a pipe."""
    with os.scandir(os.fsencode(request["path"])) as entries:
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # gone since
            record = f"{_kind(facts.st_mode)} {facts.st_size} ".encode()
            write_all(descriptors[0], record + entry.name + b"\0")


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


def copy(source: int, target: int, most: float = float("inf")) -> int:
    """What comes from one descriptor goes to another, so many bytes at most; says how many.
    Through one buffer: another one for each piece costs as much again, in pages to be mapped."""
    room, moved = memoryview(bytearray(_PIECE)), 0
    while moved < most and (length := os.readv(source, [room[: int(min(_PIECE, most - moved))]])):
        write_all(target, room[:length])
        moved += length
    return moved


def forced(act: Callable[[], T], path: bytes, rights: int) -> T:
    """What `act` returns: done again where it is refused, with more rights to a file of ours for as
    long, as whoever asks could do too. Raises OSError."""
    try:
        return act()
    except PermissionError:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & rights == rights:  # then it is not the file that refuses
            raise
        os.chmod(path, mode | rights)
        try:
            return act()
        finally:
            os.chmod(path, mode)
