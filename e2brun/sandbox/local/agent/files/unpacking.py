"""An archive of files put where a template's COPY wants them."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
import tempfile

from . import changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Request = dict[str, Any]


def unpack(request: Request, pipe: int) -> str:
    """Of the tar archive in `pipe` put `source` at `target`, as Docker's COPY does.

    A directory's contents go into `target`; a file goes into it where it is a directory or ends in
    a slash, and takes its name otherwise. `mode`: of all that came, -1 leaves it. Raises OSError.
    """
    target: str = request["target"]
    into = target.endswith("/") or os.path.isdir(target)
    target = target.rstrip("/") or "/"
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=_above(target)) as room:
        try:
            with os.fdopen(os.dup(pipe), "rb") as raw, tarfile.open(fileobj=raw, mode="r|*") as tar:
                tar.extraction_filter = lambda member, _: member  # from 3.11.4 on; ours is _inside
                tar.extractall(room, _inside(tar, room))  # noqa: S202 - in the sandbox, and filtered
        except tarfile.TarError as error:
            raise OSError(errno.EINVAL, f"the archive cannot be unpacked: {error}") from None
        source = os.path.normpath(os.path.join(room, request["source"]))
        if not source.startswith(room) or not os.path.lexists(source):
            raise FileNotFoundError(errno.ENOENT, f"{request['source']} is not in the archive")
        if request["mode"] >= 0:
            _change_modes(source, request["mode"])
        if os.path.isdir(source) and not os.path.islink(source):
            _merge(source, target)
        else:
            if into:
                target = os.path.join(target, os.path.basename(source))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _put(source, target)
    return "1"


def _inside(tar: tarfile.TarFile, room: str) -> Iterator[tarfile.TarInfo]:
    """What is in it, without the rights that nobody should get from an archive. Raises OSError for
    what would come to lie elsewhere, through a link that came before it, too."""
    room = os.path.realpath(room)
    for member in tar:
        member.name = member.name.lstrip("/")
        place = os.path.realpath(os.path.join(room, member.name))
        if os.path.commonpath([room, place]) != room:
            raise OSError(errno.EINVAL, f"{member.name!r} in the archive leads out of it")
        member.mode &= 0o755
        yield member


def _above(path: str) -> str:
    """The nearest directory there is: on its file system a rename is all that is needed."""
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    return path


def _merge(source: str, target: str) -> None:
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        one, other = os.path.join(source, name), os.path.join(target, name)
        if _is_directory(one) and _is_directory(other):
            _merge(one, other)
        else:
            _put(one, other)


def _put(source: str, target: str) -> None:
    if _is_directory(source) and os.path.lexists(target) and not _is_directory(target):
        raise NotADirectoryError(errno.ENOTDIR, f"{target} is no directory")
    if _is_directory(target) and not _is_directory(source):
        raise IsADirectoryError(errno.EISDIR, f"{target} is a directory")
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        changes.move({"source": os.fsencode(source), "target": os.fsencode(target)}, [])


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _change_modes(path: str, mode: int) -> None:
    if stat.S_ISLNK(os.lstat(path).st_mode):
        return
    if os.path.isdir(path):
        for name in os.listdir(path):
            _change_modes(os.path.join(path, name), mode)
    os.chmod(path, mode)
