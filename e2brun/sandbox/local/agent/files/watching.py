"""inotify watches on a directory, or on all of a tree; who reads the events is the host. A watch
belongs to an inode, so the events need nobody in here; paths are looked up here alone."""

from __future__ import annotations

import ctypes
import errno
import os
from _json import encode_basestring_ascii as quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_ONLYDIR, _DONT_FOLLOW = 0x01000000, 0x02000000
_MASK = _MODIFY | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK

_libc = ctypes.CDLL(None, use_errno=True)


def instance() -> int:
    """A new inotify descriptor. Raises OSError."""
    return _checked(_libc.inotify_init1(_FLAGS))


def watch(request: dict[str, Any], inotify: int) -> Iterator[str]:
    """Watch `path` and, when `recursive`, every directory below it.

    For each directory [watch, name below the first, None], the watch made before what is inside
    is looked at; for each entry found in there [0, name, whether it is a directory, its size].
    """
    top: bytes = request["path"]
    follow = 0 if request["follow"] else _DONT_FOLLOW
    yield _watched(_add(inotify, top, follow), b"")
    if not request["recursive"]:
        return
    waiting: list[bytes] = [b""]
    while waiting:
        inside = waiting.pop()
        for name, is_directory, size in _content(os.path.join(top, inside) if inside else top):
            path = os.path.join(inside, name)
            yield f"[0,{_shown(path)},{'true' if is_directory else 'false'},{size}]"
            if is_directory:
                try:
                    added = _add(inotify, os.path.join(top, path), _DONT_FOLLOW)
                except OSError as error:
                    if error.errno == errno.ENOSPC:  # as many watches as one user may have
                        raise
                    continue  # gone since, or closed to us
                yield _watched(added, path)
                waiting.append(path)


def _content(directory: bytes) -> list[tuple[bytes, bool, int]]:
    found: list[tuple[bytes, bool, int]] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                is_directory = entry.is_dir(follow_symlinks=False)
                size = 0 if is_directory else entry.stat(follow_symlinks=False).st_size
                found.append((entry.name, is_directory, size))
    except OSError:
        return found
    return sorted(found)


def _watched(number: int, path: bytes) -> str:
    return f"[{number},{_shown(path)},null,0]"


def _shown(path: bytes) -> str:
    # One character a byte: the host needs the name itself again.
    return quote(path.decode("latin-1"))


def _add(inotify: int, path: bytes, flags: int) -> int:
    return _checked(_libc.inotify_add_watch(inotify, path, _MASK | _ONLYDIR | flags))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
