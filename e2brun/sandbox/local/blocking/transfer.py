"""Files into and out of an embedded sandbox, through pipes the agent reads and writes.

The host opens no path that the sandbox could have touched, and stops at a size.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.errors import FileTransferFailed, InstallFailed, SandboxLost
from e2brun.sandbox import endings
from e2brun.sandbox.contract import HOME, FileEntry, Upload, absolute
from e2brun.sandbox.local.host.control import INLINE_LIMIT, Report, RequestDone, RequestFailed
from e2brun.sandbox.local.host.streams import pieces, pipe, pour

if TYPE_CHECKING:
    from e2brun.sandbox.local.blocking.sandbox import LocalSandbox

_ANSWER_SECONDS = 30.0
_NAMES_LIMIT = 16 * 1024 * 1024
_SIZE = re.compile(rb"[0-9]{1,19}")  # Python refuses to read numbers of thousands of digits
_KINDS = frozenset({"file", "directory", "symlink", "other"})


def send(sandbox: LocalSandbox, upload: Upload, *, acknowledge: bool) -> None:
    """Write one file; without `acknowledge` a failure shows when the next program starts.

    Raises FileTransferFailed.
    """
    mode = 0o755 if upload.executable else 0o644
    path = absolute(upload.path)
    if isinstance(upload.source, bytes) and len(upload.source) <= INLINE_LIMIT:
        ask = sandbox.control.request if acknowledge else sandbox.control.hold
        number = ask("write", path=path, data=upload.source, mode=mode, needed=not acknowledge)
        if acknowledge:
            _expect_done(sandbox, number, endings.not_in_place)
        return
    fields = {"path": path, "data": b"", "mode": mode}
    _stream(sandbox, upload.source, endings.not_in_place, "write", fields)


def restore(sandbox: LocalSandbox, tree: Path) -> None:
    """Replace all that can be written in it by what was saved. Raises FileTransferFailed."""
    _stream(sandbox, tree, str, "restore", {})


def copy_layer(sandbox: LocalSandbox, layer: Path) -> None:
    """Make a layer's packages importable for what starts, or imports, from now on: where Python
    looks as well. A mount, as of what a sandbox starts with, cannot be added later without rights
    that nothing in there has.

    Raises InstallFailed when they do not fit: they count as files of the sandbox.
    """
    try:
        sandbox.write_files(list(_files(sandbox, layer)))
    except FileTransferFailed as error:
        raise InstallFailed(f"the packages do not fit into the sandbox: {error}") from error


def _files(sandbox: LocalSandbox, layer: Path) -> Iterator[Upload]:
    from e2brun.sandbox.local.isolation.rootfs import user_site

    site = user_site(sandbox.jail)
    for directory, subdirectories, names in os.walk(layer):
        # They would count as files of the sandbox, which can compile for itself here.
        subdirectories[:] = [name for name in subdirectories if name != "__pycache__"]
        for name in names:
            path = Path(directory, name)
            inside = path.relative_to(layer).as_posix()
            script = inside.startswith("bin/")
            target = f"{HOME}/.local/{inside}" if script else f"{site}/{inside}"
            yield Upload(target, path, executable=script)


def _stream(
    sandbox: LocalSandbox,
    source: bytes | Path,
    words: Callable[[str], str],
    do: str,
    fields: Mapping[str, object],
) -> None:
    read, write = pipe()
    try:
        number = sandbox.control.request(do, (read,), **fields)
    finally:
        os.close(read)
    try:
        sandbox.watch()
        with suppress(BrokenPipeError):  # the agent's report says why
            _pour(source, write)
    finally:
        os.close(write)
    _expect_done(sandbox, number, words)


def receive(sandbox: LocalSandbox, path: str) -> Iterator[bytes]:
    """The bytes of a regular file in pieces of up to 1 MiB. Raises FileTransferFailed."""
    return _poured(sandbox, "read", path)


def entries(sandbox: LocalSandbox, path: str) -> list[FileEntry]:
    """The entries of a directory, sorted by name. Raises FileTransferFailed."""
    text = bytearray()  # pieces may be of one byte each, and bytes would be copied for every one
    with closing(_poured(sandbox, "names", path)) as listed:
        for piece in listed:
            text += piece
            if len(text) > _NAMES_LIMIT:
                raise FileTransferFailed(f"{path}: the directory has too many names")
    return sorted(
        (_entry(record) for record in bytes(text).split(b"\0")[:-1]), key=lambda e: e.name
    )


def _poured(sandbox: LocalSandbox, do: str, path: str) -> Generator[bytes]:
    """What the agent pours into a pipe at the request `do`, and then its word that it is all."""
    sandbox.watch()
    read, write = pipe()
    try:
        number = sandbox.control.request(do, (write,), path=absolute(path))
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(write)
    try:
        yield from pieces(read)
    finally:
        os.close(read)
        _expect_done(sandbox, number)


def _entry(record: bytes) -> FileEntry:
    kind, size, name = [*record.split(b" ", 2), b"", b""][:3]
    if kind.decode(errors="replace") not in _KINDS or not _SIZE.fullmatch(size) or not name:
        raise FileTransferFailed("the sandbox sent a malformed directory listing")
    return FileEntry(os.fsdecode(name), kind.decode(), int(size))


def _pour(source: bytes | Path, write: int) -> None:
    if isinstance(source, bytes):
        return pour(source, write)
    with FileTransferFailed.of_system(source):
        file = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pour(file, write)
    finally:
        os.close(file)


def _expect_done(sandbox: LocalSandbox, number: int, words: Callable[[str], str] = str) -> None:
    sandbox.watch()
    report: Report = sandbox.control.wait_for(number, _ANSWER_SECONDS)
    match report:
        case RequestDone():
            return
        case RequestFailed(text=text):
            raise FileTransferFailed(words(text))
        case _:
            raise SandboxLost("the sandbox answered a file request with something else")
