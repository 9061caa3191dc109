"""Directories made, names changed, trees removed."""

from __future__ import annotations

import errno
import os
import stat

from . import entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Request = dict[str, Any]


def mkdir(request: Request) -> str:
    """Make the directory `path` and those above it. Raises FileExistsError, NotADirectoryError."""
    path: bytes = request["path"]
    if os.path.isdir(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    try:
        os.makedirs(path, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    made: str = entries.describe(path, os.lstat(path))
    return made


def rename(request: Request) -> str:
    """Give `source` the name `target`. Raises OSError, EXDEV where it must be moved."""
    source, target = request["source"], request["target"]
    os.lstat(source)  # or a missing source would leave directories behind
    directory = os.path.dirname(target.rstrip(b"/"))
    if directory and not os.path.isdir(directory):
        os.makedirs(directory, exist_ok=True)
    os.rename(source, target)
    made: str = entries.describe(target, os.lstat(target))
    return made


def move(request: Request, _descriptors: list[int]) -> str:
    """The same from one file system to another: copy, then remove."""
    import shutil

    source: bytes = request["source"].rstrip(b"/")
    target: bytes = request["target"].rstrip(b"/")
    if stat.S_ISDIR(os.lstat(source).st_mode):
        if os.path.lexists(target):
            os.rmdir(target)  # as rename(2): an empty one is replaced
        shutil.copytree(os.fsdecode(source), os.fsdecode(target), symlinks=True)
    else:
        if os.path.isdir(target) and not os.path.islink(target):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if os.path.lexists(target):
            os.unlink(target)
        shutil.copy2(source, target, follow_symlinks=False)
    remove({"path": source}, [])
    made: str = entries.describe(target, os.lstat(target))
    return made


def remove(request: Request, _descriptors: list[int]) -> str:
    """Remove `path` and all below it; nothing there is well too."""
    path: bytes = request["path"]
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
        else:
            _empty(path)
            os.rmdir(path)
    except FileNotFoundError:
        pass
    return "null"


def empty(request: Request, _descriptors: list[int]) -> str:
    """Remove all below the directory `path`. Raises OSError."""
    _empty(request["path"])
    return "null"


def _empty(top: bytes) -> None:
    """Remove everything below `top`: step by step and by names within the working directory,
    since what is nested deeply has no path that the kernel takes."""
    try:
        _enter(top)
        levels = [(b"", iter(_without_files()))]
        while True:
            name, inner = levels[-1]
            directory = next(inner, None)
            if directory is not None:
                _enter(directory)
                levels.append((directory, iter(_without_files())))
                continue
            levels.pop()
            if not levels:
                return
            os.chdir("..")
            os.rmdir(name)
    finally:
        os.chdir("/")


def _enter(directory: bytes) -> None:
    if stat.S_ISLNK(os.lstat(directory).st_mode):  # swapped under us
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    try:
        os.chdir(directory)
        if not os.access(b".", os.R_OK | os.W_OK):
            os.chmod(b".", 0o700)
    except PermissionError:
        os.chmod(directory, 0o700)
        os.chdir(directory)


def _without_files() -> list[bytes]:
    """Unlink what is no directory in here; the directories."""
    directories: list[bytes] = []
    with os.scandir(b".") as found:
        items = list(found)
    for item in items:
        if item.is_dir(follow_symlinks=False):
            directories.append(item.name)
        else:
            os.unlink(item.name)
    return directories
