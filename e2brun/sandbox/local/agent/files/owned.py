"""What the files of a volume are, beside what all files are: owners by number, all times, sizes.

There is one user, and nobody can give a file away: whom it is said to belong to is kept as an
attribute, and told to whoever asks the service.
"""

from __future__ import annotations

import os
import stat as modes
from _json import encode_basestring_ascii as quote

from . import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Request = dict[str, Any]

_OWNER = "user.e2brun.owner"
_KINDS = {modes.S_IFREG: "f", modes.S_IFDIR: "d", modes.S_IFLNK: "l"}
_DEEPEST = 900  # levels that are looked into: one descriptor each
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def facts(request: Request) -> str:
    """The entry of `path`, not following it. Raises OSError."""
    return _describe(request["path"], os.lstat(request["path"]))


def listing(request: Request) -> Iterator[str]:
    """The entries below `path`, `depth` levels of it."""
    return entries.listing(request, _describe)


def own(request: Request) -> str:
    """Give `path` a `mode`, and say whom it belongs to (-1: as it is). Raises OSError."""
    path, mode = request["path"], request["mode"]
    if mode >= 0:
        os.chmod(path, mode & 0o1777)  # not as anybody else: no set-id bits
    now = _owner(path, os.stat(path))
    owner = tuple(n if given < 0 else given for given, n in zip(request["owner"], now))  # noqa: B905
    if owner != now:
        os.setxattr(path, _OWNER, b"%d:%d" % owner)
    return facts(request)


def make(request: Request) -> str:
    """Make the directory `path`, and with `parents` those above it. Raises OSError."""
    path: bytes = request["path"]
    if request["parents"]:
        os.makedirs(path, exist_ok=True)
    else:
        os.mkdir(path)
    return facts(request)


def usage(request: Request, _descriptors: list[int]) -> str:
    """[bytes, files] of all there is, or of what was found when it was more `files` than asked
    for; what is nested too deeply is as bad as too many. Raises OSError."""
    seen: set[int] = set()
    size, most = 0, request["files"]
    levels = [os.open("/", _DIRECTORY)]
    waiting = [os.listdir(levels[0])]
    while levels and len(seen) <= most:
        if not waiting[-1]:
            waiting.pop()
            os.close(levels.pop())
            continue
        name = waiting[-1].pop()
        try:
            found = os.stat(name, dir_fd=levels[-1], follow_symlinks=False)
            if found.st_ino in seen:
                continue
            seen.add(found.st_ino)
            size += found.st_blocks * 512
            if modes.S_ISDIR(found.st_mode):
                levels.append(os.open(name, _DIRECTORY, dir_fd=levels[-1]))
                waiting.append(os.listdir(levels[-1]))
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone since
        if len(levels) > _DEEPEST:
            return f"[{size},{len(seen) + most + 1}]"
    return f"[{size},{len(seen)}]"


def _owner(path: bytes, found: os.stat_result) -> tuple[int, int]:
    try:
        user, group = os.getxattr(path, _OWNER, follow_symlinks=False).split(b":")
        return int(user) & 0xFFFFFFFF, int(group) & 0xFFFFFFFF
    except (OSError, ValueError):  # none, or who wrote it was no friend
        return found.st_uid, found.st_gid


def _describe(path: bytes, found: os.stat_result) -> str:
    """[path, kind, size, mode, uid, gid, times in ns of access, change and status, target]."""
    mode, target = found.st_mode, "null"
    user, group = _owner(path, found)
    if modes.S_ISLNK(mode):
        target = quote(entries.text(os.readlink(path)))
    times = f"{found.st_atime_ns},{found.st_mtime_ns},{found.st_ctime_ns}"
    return (
        f'[{quote(entries.text(path))},"{_KINDS.get(modes.S_IFMT(mode), "?")}",{found.st_size},'
        f"{modes.S_IMODE(mode)},{user},{group},{times},{target}]"
    )
