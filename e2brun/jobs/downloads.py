"""`REMOTE[:LOCAL]`: what the user wants out of the sandbox, written without trusting a name.

The local place is chosen by the user alone. Below a fetched directory names come from the
sandbox: each is checked, created beside its final place and renamed, and no link is followed.
How long a file is says the sandbox too, and a sparse one or one under many names is longer than
what its disk limit bounds: an `Allowance` bounds all that comes. A `.git` that is here already
stays: its settings name programs, which the next `git status` would start.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from e2brun.errors import FileTransferFailed
from e2brun.sandbox.contract import Sandbox
from e2brun.values import clipped

_DEPTH_LIMIT = 32
_FILES_LIMIT = 50_000
_BLOCK = 64 * 1024
_HOLE = bytes(_BLOCK)
_GIT = ".git"
_NOFOLLOW_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Allowance:
    """Bytes that may still be written here, of all files together; holes in them count."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def take(self, size: int) -> None:
        """Raises FileTransferFailed when it is used up."""
        self._left -= size
        if self._left < 0:
            raise FileTransferFailed(f"more than {self._most} bytes in all (--max-get)")


def fetch(sandbox: Sandbox, argument: str, allowance: Allowance) -> tuple[Path, str]:
    """What `REMOTE[:LOCAL]` names; see `bring`."""
    remote, _, local = argument.rpartition(":")
    if not remote or not local:
        remote, local = argument, ""
    return bring(sandbox, remote, local, allowance)


def bring(sandbox: Sandbox, remote: str, local: str, allowance: Allowance) -> tuple[Path, str]:
    """Bring one file or directory here; where it is, and what of it was left out. Raises
    FileTransferFailed; for a name that is not safe here, when all the rest has come."""
    target = Path(local or Path(remote).name or "download")
    tree = _Tree(sandbox, allowance)
    try:
        if _is_directory(sandbox, remote):
            target.mkdir(parents=True, exist_ok=True)
            tree.fetch(remote, target)
        else:
            if target.is_dir() or local.endswith("/"):
                target /= Path(remote).name
            target.parent.mkdir(parents=True, exist_ok=True)
            directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _save(sandbox.read_file(remote), directory, target.name, allowance)
            finally:
                os.close(directory)
    except OSError as error:
        raise FileTransferFailed(f"{target}: {error.strerror}") from error
    return target, tree.left_out()


def _is_directory(sandbox: Sandbox, remote: str) -> bool:
    try:
        sandbox.list_files(remote)
    except FileTransferFailed:
        return False  # a file, or reading it will say what is wrong
    return True


class _Tree:
    """A directory on its way here; counts, so that an endless one ends."""

    def __init__(self, sandbox: Sandbox, allowance: Allowance) -> None:
        self._sandbox, self._allowance = sandbox, allowance
        self._files = 0
        self._odd = 0
        self._unsafe: list[str] = []
        self._has_git = False

    def left_out(self) -> str:
        """In words; "" for nothing."""
        odd = [f"{self._odd} links, FIFOs or devices"] if self._odd else []
        git = ["a .git, since there is one here"] if self._has_git else []
        return ", ".join(odd + git)

    def fetch(self, remote: str, target: Path) -> None:
        directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._fetch_into(remote.rstrip("/") or "/", directory, depth=0)
        finally:
            os.close(directory)
        if self._unsafe:
            named = ascii(clipped(self._unsafe[0], 80))
            if len(self._unsafe) > 1:
                named += f" and {len(self._unsafe) - 1} more"
            raise FileTransferFailed(
                f"the sandbox has a file named {named}, which is not safe to create here;"
                " the rest is there"
            )

    def _fetch_into(self, remote: str, directory: int, *, depth: int) -> None:
        if depth > _DEPTH_LIMIT:
            raise FileTransferFailed(f"{clipped(remote, 80)!a}: directories are nested too deeply")
        for entry in self._sandbox.list_files(remote):
            self._files += 1
            if self._files > _FILES_LIMIT:
                raise FileTransferFailed(f"more than {_FILES_LIMIT} files")
            if not _is_safe(entry.name):
                self._unsafe.append(entry.name)
                continue
            if entry.name == _GIT and _has_git(directory):
                self._has_git = True
                continue
            inside = f"{remote}/{entry.name}"
            if entry.kind == "file":
                pieces = self._sandbox.read_file(inside)
                _save(pieces, directory, entry.name, self._allowance)
            elif entry.kind == "directory":
                self._fetch_directory(inside, directory, entry.name, depth)
            else:
                self._odd += 1

    def _fetch_directory(self, remote: str, parent: int, name: str, depth: int) -> None:
        with suppress(FileExistsError):  # opened below, unless it is a link
            os.mkdir(name, dir_fd=parent)
        directory = os.open(name, _NOFOLLOW_DIRECTORY, dir_fd=parent)
        try:
            self._fetch_into(remote, directory, depth=depth + 1)
        finally:
            os.close(directory)


def _has_git(directory: int) -> bool:
    with suppress(FileNotFoundError):
        os.stat(_GIT, dir_fd=directory, follow_symlinks=False)
        return True
    return False


def _is_safe(name: str) -> bool:
    """One with U+FFFD, which stands for bytes that are no UTF-8, cannot be asked for, either."""
    return (
        name not in {"", ".", ".."}
        and "/" not in name
        and not name.startswith("-")
        and name.isprintable()
        and "\ufffd" not in name
    )


def _save(pieces: Iterator[bytes], directory: int, name: str, allowance: Allowance) -> None:
    """Write beside the final place and rename: no half file, no link followed, plain mode."""
    temporary = f".e2brun-{token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o666, dir_fd=directory)
    try:
        size = 0
        try:
            for piece in pieces:
                allowance.take(len(piece))
                _write(file, piece)
                size += len(piece)
            os.truncate(file, size)  # it may end in a hole
        finally:
            os.close(file)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise


def _write(file: int, piece: bytes) -> None:
    """Write what comes next, but for blocks of nothing but zeros: they become holes."""
    at = 0
    with memoryview(piece) as view:
        while at < len(piece):
            block = min(_BLOCK, len(piece) - at)
            if piece.startswith(_HOLE[:block], at):
                os.lseek(file, block, os.SEEK_CUR)
                at += block
            else:
                at += os.write(file, view[at : _end_of_data(piece, at)])


def _end_of_data(piece: bytes, at: int) -> int:
    """Where the next block of zeros begins after the block at `at`."""
    end = at + _BLOCK
    while end < len(piece) and not piece.startswith(_HOLE, end):
        end += _BLOCK
    return end
