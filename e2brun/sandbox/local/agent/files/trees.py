"""Everything that was written in a sandbox as one stream, and back again.

A record is four bytes of length, a JSON object, and what its `parts` announce of a file's
content: only what is really there of a sparse one. The last record is of kind "end". A file that a
sandbox had from the start and still has is left out: the next one, perhaps with another network,
has its own.
"""

from __future__ import annotations

import errno
import json
import os
import stat

from ..descriptors import write_all
from . import changes
from .plain import forced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Record = dict[str, Any]

_HEAD_LIMIT = 64 * 1024 * 1024
_PIECE = 1024 * 1024
_MOUNTED = b"/etc/ld.so.cache"  # for all that it is on the file system of /


def save(request: Record, pipe: int) -> str:
    """Pour all that was written into `pipe`; how many things that were. `first_files`: path ->
    content of what was there from the start, as far as that is known."""
    with os.fdopen(os.dup(pipe), "wb", _PIECE) as stream:
        writer = _Writer(stream, request["first_files"])
        writer.all()
    return str(writer.count)


def restore(_request: Record, pipe: int) -> str:
    """Put the stream's things in place, where nothing has run yet; how many they were."""
    with os.fdopen(os.dup(pipe), "rb", _PIECE) as stream:
        return str(_Reader(stream).all())


def unpack(request: Record, pipe: int) -> str:
    """Put a part of the tar archive in `pipe` somewhere: see `unpacking`."""
    from . import unpacking

    return str(unpacking.unpack(request, pipe))


class _Writer:
    def __init__(self, stream: Any, first: dict[str, bytes]) -> None:
        self._stream, self.count, self._first = stream, 0, first
        self._linked: dict[tuple[int, int], bytes] = {}

    def record(self, fields: Record) -> None:
        head = json.dumps(fields).encode("ascii")
        self._stream.write(len(head).to_bytes(4, "big") + head)
        self.count += 1

    def all(self) -> None:
        """What is on the file system of /."""
        device = os.lstat("/").st_dev
        waiting = [b"/"]
        while waiting:
            directory = waiting.pop()
            for name in _names(directory):
                path = os.path.join(directory, name)
                try:
                    facts = os.lstat(path)
                    if facts.st_dev == device and self._any(path, facts):
                        waiting.append(path)
                except OSError as error:
                    if error.errno in (errno.EPIPE, errno.ENOMEM):
                        raise
                    continue  # gone since, or closed to us
        for path in map(os.fsencode, self._first):
            if not os.path.lexists(path):
                self.record({"kind": "gone", "path": _text(path)})
        self.record({"kind": "end", "name": os.uname().nodename})

    def _any(self, path: bytes, facts: os.stat_result) -> bool:
        """Write one thing; whether it is a directory."""
        mode = facts.st_mode
        if stat.S_ISDIR(mode):
            self._add(path, facts, "directory")
            return True
        key = (facts.st_dev, facts.st_ino)
        if facts.st_nlink > 1 and key in self._linked:
            self._add(path, facts, "hard link", target=_text(self._linked[key]))
        elif stat.S_ISREG(mode):
            if path != _MOUNTED and not self._as_at_first(path, facts):
                self._file(path, facts)
                self._linked[key] = path
        elif stat.S_ISLNK(mode):
            self._add(path, facts, "link", target=_text(os.readlink(path)))
        elif stat.S_ISFIFO(mode):
            self._add(path, facts, "fifo")
        return False  # sockets and devices mean nothing to another kernel object

    def _as_at_first(self, path: bytes, facts: os.stat_result) -> bool:
        first = self._first.get(os.fsdecode(path))
        if first is None or (facts.st_size, stat.S_IMODE(facts.st_mode)) != (len(first), 0o644):
            return False
        file = _opened(path)
        try:
            return os.pread(file, len(first) + 1, 0) == first
        finally:
            os.close(file)

    def _add(self, path: bytes, facts: os.stat_result, kind: str, **more: object) -> None:
        self.record(
            {
                "kind": kind,
                "path": _text(path),
                "mode": stat.S_IMODE(facts.st_mode),
                "times": [facts.st_atime_ns, facts.st_mtime_ns],
                "attributes": {} if kind == "link" else _attributes(path),
                **more,
            }
        )

    def _file(self, path: bytes, facts: os.stat_result) -> None:
        file = _opened(path)
        try:
            size = os.fstat(file).st_size
            parts = _parts(file, size)
            self._add(path, facts, "file", size=size, parts=parts)
            for offset, length in parts:
                self._copy(file, offset, length)
        finally:
            os.close(file)

    def _copy(self, file: int, offset: int, length: int) -> None:
        while length:
            # What was cut off since counts as zeros: so many bytes have been announced.
            piece = os.pread(file, min(length, _PIECE), offset) or bytes(min(length, _PIECE))
            self._stream.write(piece)
            offset += len(piece)
            length -= len(piece)


class _Reader:
    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._directories: list[Record] = []

    def all(self) -> int:
        """Everything up to the end record. Raises OSError for a stream that is cut off."""
        count = 0
        while (record := self._record())["kind"] != "end":
            self._make(record, _bytes(record["path"]))
            count += 1
        for directory in reversed(self._directories):
            _dress(_bytes(directory["path"]), directory)
        _rename(record.get("name", ""))
        return count

    def _record(self) -> Record:
        length = int.from_bytes(self._exactly(4), "big")
        if length > _HEAD_LIMIT:
            raise OSError(errno.EINVAL, "not a saved tree")
        record: Record = json.loads(self._exactly(length))
        return record

    def _exactly(self, length: int) -> bytes:
        data: bytes = self._stream.read(length)
        if len(data) != length:
            raise OSError(errno.EINVAL, "the saved tree ends early")
        return data

    def _make(self, record: Record, path: bytes) -> None:
        kind = record["kind"]
        if kind == "gone":
            _clear(path)
            return
        try:
            self._one(record, path)
        except FileExistsError:  # what every sandbox has, or in its place a link or a directory
            _clear(path)
            self._one(record, path)
        if kind in ("root", "directory"):
            self._directories.append(record)  # dressed last: what goes into it changes its time
        elif kind in ("file", "fifo"):
            _dress(path, record)

    def _one(self, record: Record, path: bytes) -> None:
        kind = record["kind"]
        if kind in ("root", "directory"):  # there were roots before all of / could be written
            if os.path.islink(path) or not os.path.isdir(path):
                os.mkdir(path, 0o700)
        elif kind == "file":
            self._file(record, path)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            os.symlink(_bytes(record["target"]), path)
            os.utime(path, ns=tuple(record["times"]), follow_symlinks=False)
        else:
            os.link(_bytes(record["target"]), path)

    def _file(self, record: Record, path: bytes) -> None:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(file, record["size"])
            for offset, length in record["parts"]:
                os.lseek(file, offset, os.SEEK_SET)
                left = length
                while left:
                    piece = self._exactly(min(left, _PIECE))
                    write_all(file, piece)
                    left -= len(piece)
        finally:
            os.close(file)


def _clear(path: bytes) -> None:
    """Remove what is there, but nothing of a volume. Raises OSError."""
    if os.path.isdir(path) and not os.path.islink(path):
        with open("/proc/self/mounts", encoding="latin-1") as file:
            mounted = [_bytes(line.split()[1]).decode("unicode_escape") for line in file]
        if any(f"{place}/".startswith(f"{_text(path)}/") for place in mounted):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    changes.remove({"path": path}, [])


def _rename(saved: str) -> None:
    """The sandbox goes by another name than the one that was saved: that resolves here as well."""
    own = os.uname().nodename
    for path in ("/etc/hosts", "/etc/hostname"):
        try:
            with open(path, "rb+") as file:
                text = file.read()
                renamed = text.replace(saved.encode(), own.encode()) if saved else text
                if renamed != text:
                    file.seek(0)
                    file.truncate()
                    file.write(renamed)
        except OSError:  # gone, or made something else
            continue


def _dress(path: bytes, record: Record) -> None:
    try:
        for name, value in record["attributes"].items():
            os.setxattr(path, name, bytes.fromhex(value))
        os.chmod(path, record["mode"])
        os.utime(path, ns=tuple(record["times"]))
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EPERM, errno.ENOTSUP):
            raise


def _parts(file: int, size: int) -> list[tuple[int, int]]:
    """(offset, length) of what is really there."""
    found: list[tuple[int, int]] = []
    offset = 0
    while offset < size:
        try:
            start = os.lseek(file, offset, os.SEEK_DATA)
            offset = min(os.lseek(file, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                break
            raise
        if start < offset:
            found.append((start, offset - start))
    return found


def _opened(path: bytes) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return forced(lambda: os.open(path, flags), path, 0o600)


def _names(directory: bytes) -> list[bytes]:
    return forced(lambda: sorted(os.listdir(directory)), directory, 0o700)


def _attributes(path: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        for name in os.listxattr(path, follow_symlinks=False):
            if name.startswith("user."):
                found[name] = os.getxattr(path, name, follow_symlinks=False).hex()
    except OSError:
        return found
    return found


def _text(path: bytes) -> str:
    return path.decode("latin-1")  # one character a byte


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
