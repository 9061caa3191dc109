"""Directories whose names a package chose: counted, checked and removed. Without recursion, since
an archive can hold a tree that is deeper than Python's stack, and without following a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from e2brun.errors import InstallFailed

_BLOCK = 4096
_DEPTH = 100
_NOBODY_ELSES = stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID


class Size(NamedTuple):
    """What a tree takes; an empty file or a directory counts as a block, as it costs one."""

    bytes: int
    files: int


def measure(directory: str | Path) -> Size:
    """The size of a tree that may grow or go meanwhile."""
    total = files = 0
    for _, status in entries(str(directory)):
        files += 1
        total += max(_BLOCK, status.st_size)
    return Size(total, files)


def entries(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """(path, lstat) of everything below, a directory before what is in it."""
    pending = [directory]
    while pending:
        for path, status in _children(pending.pop()):
            if stat.S_ISDIR(status.st_mode):
                pending.append(path)
            yield path, status


def _children(directory: str) -> list[tuple[str, os.stat_result]]:
    found: list[tuple[str, os.stat_result]] = []
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):  # gone since
                found.append((entry.path, entry.stat(follow_symlinks=False)))
    return found


def check(directory: Path) -> Size:
    """Its size, when it holds nothing but files and directories that only we can change.

    Raises InstallFailed. uv writes neither links nor devices nor modes of an archive's choice;
    this is not to rest on uv.
    """
    total = files = 0
    for path, status in entries(str(directory)):
        name = os.path.relpath(path, directory)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise InstallFailed(f"a package holds {name!a}, which is no file and no directory")
        if status.st_mode & _NOBODY_ELSES:
            raise InstallFailed(f"a package holds {name!a}, which others could change")
        if name.count("/") >= _DEPTH:
            raise InstallFailed(f"a package holds directories more than {_DEPTH} deep")
        files += 1
        total += max(_BLOCK, status.st_size)
    return Size(total, files)


def remove(directory: Path) -> None:
    """All of it, as far as we may."""
    directories = [str(directory)]
    for path, status in entries(str(directory)):
        if stat.S_ISDIR(status.st_mode):
            directories.append(path)
            continue
        with suppress(OSError):
            os.unlink(path)
    for path in reversed(directories):
        with suppress(OSError):
            os.rmdir(path)
