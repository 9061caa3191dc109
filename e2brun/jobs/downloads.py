"""`REMOTE[:LOCAL]`: what the user wants out of the sandbox, written without trusting a name.

The local place is chosen by the user alone. Below a fetched directory names come from the
sandbox: each is checked, created beside its final place and renamed, and no link is followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from e2brun.errors import FileTransferFailed
from e2brun.sandbox.contract import Sandbox

SIZE_LIMIT = 16 * 1024**3  # of one file, and of all files of a directory together
_DEPTH_LIMIT = 32
_FILES_LIMIT = 50_000
_NOFOLLOW_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fetch(sandbox: Sandbox, argument: str) -> tuple[Path, int]:
    """What `REMOTE[:LOCAL]` names; see `bring`."""
    return bring(sandbox, *_split(argument))


def bring(sandbox: Sandbox, remote: str, local: str | None) -> tuple[Path, int]:
    """Bring one file or directory here; where it is, and how many links, FIFOs and devices in
    it were left out. Raises FileTransferFailed."""
    target = Path(local or Path(remote).name or "download")
    tree = _Tree(sandbox)
    try:
        if _is_directory(sandbox, remote):
            target.mkdir(parents=True, exist_ok=True)
            tree.fetch(remote, target)
        else:
            if target.is_dir() or (local or "").endswith("/"):
                target /= Path(remote).name
            target.parent.mkdir(parents=True, exist_ok=True)
            directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _save(sandbox.read_file(remote), directory, target.name)
            finally:
                os.close(directory)
    except OSError as error:
        raise FileTransferFailed(f"{target}: {error.strerror}") from error
    return target, tree.left_out


def _split(argument: str) -> tuple[str, str | None]:
    remote, colon, local = argument.rpartition(":")
    return (remote, local) if colon and remote and local else (argument, None)


def _is_directory(sandbox: Sandbox, remote: str) -> bool:
    try:
        sandbox.list_files(remote)
    except FileTransferFailed:
        return False  # a file, or reading it will say what is wrong
    return True


class _Tree:
    """A directory on its way here; counts, so that an endless one ends."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._files = 0
        self._room = SIZE_LIMIT
        self.left_out = 0

    def fetch(self, remote: str, target: Path) -> None:
        directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._fetch_into(remote.rstrip("/") or "/", directory, depth=0)
        finally:
            os.close(directory)

    def _fetch_into(self, remote: str, directory: int, *, depth: int) -> None:
        if depth > _DEPTH_LIMIT:
            raise FileTransferFailed(f"{_shown(remote)}: directories are nested too deeply")
        for entry in self._sandbox.list_files(remote):
            self._files += 1
            if self._files > _FILES_LIMIT:
                raise FileTransferFailed(f"more than {_FILES_LIMIT} files")
            _check_name(entry.name)
            inside = f"{remote}/{entry.name}"
            if entry.kind == "file":
                pieces = self._sandbox.read_file(inside)
                self._room -= _save(pieces, directory, entry.name, self._room)
            elif entry.kind == "directory":
                self._fetch_directory(inside, directory, entry.name, depth)
            else:
                self.left_out += 1

    def _fetch_directory(self, remote: str, parent: int, name: str, depth: int) -> None:
        with suppress(FileExistsError):  # opened below, unless it is a link
            os.mkdir(name, dir_fd=parent)
        directory = os.open(name, _NOFOLLOW_DIRECTORY, dir_fd=parent)
        try:
            self._fetch_into(remote, directory, depth=depth + 1)
        finally:
            os.close(directory)


def _check_name(name: str) -> None:
    if name in {"", ".", ".."} or "/" in name or name.startswith("-") or not name.isprintable():
        raise FileTransferFailed(
            f"the sandbox has a file named {_shown(name)}, which is not safe to create here"
        )


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else f"{name[:79]}…")


def _save(pieces: Iterator[bytes], directory: int, name: str, room: int = SIZE_LIMIT) -> int:
    """Write beside the final place and rename: no half file, no link followed, plain mode.

    Returns its size. A sparse file has one that its disk limit does not bound: `room` does.
    """
    temporary = f".e2brun-{token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o666, dir_fd=directory)
    try:
        size = 0
        try:
            for piece in pieces:
                size += len(piece)
                if size > room:
                    raise FileTransferFailed(f"{_shown(name)}: more than {SIZE_LIMIT} bytes in all")
                view = memoryview(piece)
                while view:
                    view = view[os.write(file, view) :]
        finally:
            os.close(file)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    return size
