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

FILE_LIMIT = 16 * 1024**3
_DEPTH_LIMIT = 32
_FILES_LIMIT = 50_000
_NOFOLLOW_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fetch(sandbox: Sandbox, argument: str) -> Path:
    """Bring one file or directory here and say where it is. Raises FileTransferFailed."""
    remote, local = _split(argument)
    target = Path(local or Path(remote).name or "download")
    if target.is_dir() and not _is_directory(sandbox, remote):
        target = target / Path(remote).name
    try:
        if _is_directory(sandbox, remote):
            target.mkdir(parents=True, exist_ok=True)
            _Tree(sandbox).fetch(remote, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _save(sandbox.read_file(remote), directory, target.name)
            finally:
                os.close(directory)
    except OSError as error:
        raise FileTransferFailed(f"{target}: {error.strerror}") from error
    return target


def _split(argument: str) -> tuple[str, str | None]:
    remote, colon, local = argument.rpartition(":")
    return (remote, local) if colon and remote and local else (argument, None)


def _is_directory(sandbox: Sandbox, remote: str) -> bool:
    name = remote.rstrip("/")
    if name in {"", ".", "~"}:
        return True
    parent, _, last = name.rpartition("/")
    if not parent:
        parent = "/" if name.startswith("/") else "~"
    try:
        entries = sandbox.list_files(parent)
    except FileTransferFailed:
        return False  # reading it will say what is wrong
    return any(entry.name == last and entry.kind == "directory" for entry in entries)


class _Tree:
    """A directory on its way here; counts, so that an endless one ends."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._files = 0

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
                _save(self._sandbox.read_file(inside), directory, entry.name)
            elif entry.kind == "directory":
                self._fetch_directory(inside, directory, entry.name, depth)

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


def _save(pieces: Iterator[bytes], directory: int, name: str) -> None:
    """Write beside the final place and rename: no half file, no link followed, plain mode."""
    temporary = f".e2brun-{token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o666, dir_fd=directory)
    try:
        size = 0
        try:
            for piece in pieces:
                size += len(piece)
                if size > FILE_LIMIT:
                    raise FileTransferFailed(f"{_shown(name)}: larger than {FILE_LIMIT} bytes")
                view = memoryview(piece)
                while view:
                    view = view[os.write(file, view) :]
        finally:
            os.close(file)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
