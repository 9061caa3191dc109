"""Files in and out of an E2B sandbox, streamed: none is ever held in memory whole."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from e2brun.errors import FileTransferFailed
from e2brun.sandbox import endings
from e2brun.sandbox.contract import USER, FileEntry, Upload
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.launch import (
    EXECUTABLES,
    executable_list,
    local_size,
    mark_executable,
    read_small,
    remote_file,
    remote_path,
)

SMALL = 64 * 1024
MOST_ENTRIES = 100_000
LONGEST_NAME = 255
IDLE_SECONDS = 90.0  # for the next piece of a file


class LazyFile(io.RawIOBase):
    """A local file that is open only while it is read: a directory of thousands may be sent."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__()
        self._path = path
        self._size = size
        self._position = 0
        self._file: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        if self._file is None:
            self._file = self._path.open("rb")
        self._file.seek(self._position)
        left = self._size - self._position
        data = self._file.read(left if size < 0 else min(size, left))
        self._position += len(data)
        if not data:
            if left > 0:
                raise OSError(f"{self._path} became shorter while it was sent")
            self._file.close()
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def send(native: sdk.Native, files: Sequence[Upload]) -> None:
    """Write the files in one request, in their order. Modes are not set. A name that a multipart
    form cannot carry unchanged takes a request of its own, first."""
    entries = [(remote_file(upload.path), _body(upload)) for upload in files]
    for path, body in entries:
        if _is_odd(path):
            native.files.write(path, body, user=USER)
    plain = [{"path": path, "data": body} for path, body in entries if not _is_odd(path)]
    if plain:
        # octet-stream, which the SDK prefers for files, is one request each.
        native.files.write_files(plain, user=USER, use_octet_stream=False)


def _body(upload: Upload) -> bytes | LazyFile:
    if isinstance(upload.source, bytes):
        return upload.source
    size = local_size(upload.source)
    return LazyFile(upload.source, size) if size > SMALL else read_small(upload.source)


def _is_odd(path: str) -> bool:
    return any(char in '"\\' or ord(char) < 0x20 for char in path)


def mark(native: sdk.Native, files: Sequence[Upload]) -> None:
    """Make those executable that should be."""
    names = executable_list(files)
    if not names:
        return
    line = f'e2brun_fail() {{ echo "$1" >&2; exit 1; }}\n{mark_executable("e2brun_fail")}'
    native.commands.run(line, user=USER, envs={EXECUTABLES: names}, timeout=sdk.REQUEST_SECONDS)


def receive(native: sdk.Native, path: str) -> Iterator[bytes]:
    if path.endswith("/"):
        raise FileTransferFailed(endings.not_there(f"{remote_path(path)}/"))
    # No deadline for the whole: the SDK ends a download that stalls for 60 seconds.
    with native.files.read(remote_file(path), format="stream", user=USER) as stream:
        for piece in stream:
            if piece:
                yield bytes(piece)


def entries(native: sdk.Native, path: str) -> list[FileEntry]:
    """What the sandbox says is there, as far as it can be true."""
    found = native.files.list(remote_path(path), depth=1, user=USER)
    if len(found) > MOST_ENTRIES:
        raise FileTransferFailed(f"more than {MOST_ENTRIES} names in {path}")
    listed = (_entry(one) for one in found)
    return sorted((one for one in listed if one is not None), key=lambda entry: entry.name)


def is_directory(native: sdk.Native, path: str) -> bool:
    from e2b import NotFoundException

    try:
        found = native.files.get_info(remote_path(path), user=USER)
    except NotFoundException:
        return False
    return str(getattr(found.type, "value", "")) == "dir"


def _entry(raw: Any) -> FileEntry | None:
    name = raw.name
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        return None
    if name in {".", ".."} or "/" in name or "\0" in name:
        return None
    kinds = {"file": "file", "dir": "directory", "symlink": "symlink"}
    kind = kinds.get(str(getattr(raw.type, "value", "")), "other")
    if getattr(raw, "symlink_target", None):
        kind = "symlink"  # envd gives the type of what it leads to
    size = raw.size
    return FileEntry(name, kind, size if isinstance(size, int) and size > 0 else 0)
