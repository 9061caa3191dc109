"""`LOCAL[:REMOTE]`: what the user wants to have in the sandbox, file by file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.sandbox.contract import Upload

_FORM = "--file takes LOCAL or LOCAL:REMOTE."


def parse(argument: str, notice: Callable[[str], None]) -> Iterator[Upload]:
    """The files of one `--file`; a directory gives every regular file below it. Raises UsageError
    when there is nothing to read."""
    with UsageError.of_system():
        local, remote = split(argument)
        if not local:  # Path("") is the working directory, with everything in it
            raise UsageError("--file: the name is empty", hint=_FORM)
        yield from gather(Path(local), remote, notice)


def gather(path: Path, remote: str | None, notice: Callable[[str], None]) -> Iterator[Upload]:
    """One file, or every regular file of a directory. Raises UsageError, OSError."""
    if path.is_dir():
        yield from _tree(path, remote or path.resolve().name, notice)
        return
    if remote is None or remote.endswith("/"):
        remote = (remote or "") + path.name
    yield _upload(path, remote)


def split(argument: str) -> tuple[str, str | None]:
    """Split at the last colon, unless all of it names a file that is there."""
    if not Path(argument).exists() and ":" in argument:
        first, second = argument.rsplit(":", 1)
        if first and second:
            return first, second
    return argument, None


def _upload(path: Path, remote: str) -> Upload:
    if "\0" in remote:
        raise UsageError(f"{path}: a file name cannot hold NUL")
    if not path.exists():
        raise UsageError(f"{path}: no such file", hint=_FORM)
    if not path.is_file():
        raise UsageError(f"{path}: neither a regular file nor a directory")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path}: it cannot be read")
    return Upload(remote, path, executable=os.access(path, os.X_OK))


def _tree(top: Path, remote: str, notice: Callable[[str], None]) -> Iterator[Upload]:
    inside = top.resolve()
    for directory, subdirectories, names in os.walk(top, onerror=_refuse):
        subdirectories.sort()
        for path in (Path(directory, name) for name in subdirectories):
            if path.is_symlink():
                notice(f"left out {path}: a link to a directory")
        for path in (Path(directory, name) for name in sorted(names)):
            # A checked-out repository may hold a link to ~/.ssh: what the link points at was
            # not what the user named.
            if path.is_symlink() and not leads_into(path, inside):
                notice(f"left out {path}: a link that leads out of {top}")
            elif not path.is_file():
                notice(f"left out {path}: not a regular file")
            else:
                yield _upload(path, f"{remote.rstrip('/')}/{path.relative_to(top).as_posix()}")


def leads_into(link: Path, directory: Path) -> bool:
    """`directory` is without links."""
    try:
        return link.resolve().is_relative_to(directory)
    except (OSError, RuntimeError):  # into what is not ours to read, or in a circle
        return False


def _refuse(error: OSError) -> None:
    raise error
