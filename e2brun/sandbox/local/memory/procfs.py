"""Files of /proc, the `Field:   123 kB` lines in them, and what a sandbox's processes show."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress

from e2brun.sandbox.contract import MIB

_LISTINGS = 64  # of a process's threads, at most
_PRIVATE = (b"RssAnon:", b"VmPTE:", b"VmSwap:", b"HugetlbPages:")


def contents(path: str) -> bytes:
    """All of a file; b'' where there is none, or it may not be read."""
    with suppress(OSError), open(path, "rb") as file:
        return file.read()
    return b""


def word(text: bytes, field: bytes) -> bytes:
    """The first word of the line that begins with `field`; b'' when there is none."""
    # A line's beginning, since a process may call itself "RssAnon: 0 kB".
    at = text.find(b"\n" + field) + 1
    if not at and not text.startswith(field):
        return b""
    words = text[at + len(field) : at + len(field) + 40].split(None, 1)
    return words[0] if words else b""


def kilobytes(text: bytes, field: bytes) -> int:
    """The bytes of a `Field:   123 kB` line; 0 when there is none."""
    found = word(text, field)
    return int(found) * 1024 if found.isdigit() else 0


def private(status: bytes) -> int:
    """What one process alone has: pages, page tables, what of it is swapped out or huge."""
    return sum(kilobytes(status, name) for name in _PRIVATE)


def shown(statuses: Collection[bytes], files: int) -> int:
    """Bytes that processes show, and `files`, of which they may show some as well; what several
    have together counts for each."""
    mapped = sum(kilobytes(status, b"RssShmem:") for status in statuses)
    return sum(map(private, statuses)) + max(files, mapped)


def process(place: str) -> str:
    """Whose it is: a place of a process below /proc is its number, or a thread's."""
    return place.partition("/")[0]


class ProcessTable:
    """Of one sandbox."""

    def __init__(self, proc: int) -> None:
        """`proc`: a descriptor of its /proc."""
        self._proc = proc

    def statuses(self) -> dict[str, bytes]:
        """Place below /proc -> status, of every process but the agent, which is 1."""
        names = os.listdir(self._proc)
        return dict(self.of(name) for name in names if name.isdigit() and name != "1")

    def of(self, process: str) -> tuple[str, bytes]:
        """The same of one process."""
        status = self.read(f"{process}/status")
        # A first thread that has ended shows no memory; others of the process may live on, in ever
        # new ones.
        for _ in range(_LISTINGS):
            if b"\nVmRSS:" in status or word(status, b"Threads:") in {b"", b"0", b"1"}:
                break
            for thread in self._names(f"{process}/task"):
                place = f"{process}/task/{thread}"
                if b"\nVmRSS:" in (other := self.read(f"{place}/status")):
                    return place, other
            status = self.read(f"{process}/status")
        return process, status

    def lives(self, place: str) -> bool:
        """Whether the process has memory still."""
        return b"\nVmRSS:" in self.of(process(place))[1]

    def about(self, place: str, name: str, limit: int = 64 * MIB) -> bytes:
        """What is in a file of a process: another thread's, if the one at `place` has ended."""
        text = self.read(f"{place}/{name}", limit)
        for _ in range(_LISTINGS):
            if text or place == process(place):
                break
            place, _ = self.of(process(place))
            text = self.read(f"{place}/{name}", limit)
        return text

    def _names(self, path: str) -> list[str]:
        with suppress(OSError):  # the process is gone
            descriptor = self.open(path)
            try:
                return os.listdir(descriptor)
            finally:
                os.close(descriptor)
        return []

    def open(self, path: str) -> int:
        """A descriptor, which is the caller's. Raises OSError."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)

    def stat(self, place: str) -> list[bytes]:
        """The words of `stat` after the name; none of a process that is gone."""
        return self.read(f"{place}/stat").rpartition(b")")[2].split()

    def read(self, path: str, limit: int = 64 * MIB) -> bytes:
        """What is in a file; as much as there was when its process ended."""
        pieces: list[bytes] = []
        length = 0
        with suppress(OSError):  # the process is gone
            descriptor = self.open(path)
            try:
                while length < limit and (piece := os.read(descriptor, 65536)):
                    pieces.append(piece)
                    length += len(piece)
                    if len(piece) < 3072:  # /proc gives whole records, near a page each time
                        break
            finally:
                os.close(descriptor)
        return b"".join(pieces)

    def shared_objects(self, place: str, maps: bytes) -> dict[bytes, int]:
        """Inode -> bytes of each object that is shared without a file, of which `maps`, those of
        the process at `place`, have something. All of it keeps its pages, also what is mapped no
        more: of that only root is told (proc(5), map_files)."""
        found: dict[bytes, int] = {}
        for line in maps.splitlines():
            if b"/dev/zero" in line or b"[anon_shmem:" in line:  # or as PR_SET_VMA has named it
                span, _, _, _, inode, *_ = line.split()
                start, end = (int(address, 16) for address in span.split(b"-"))
                size = end - start
                with suppress(OSError):
                    path = f"{place}/map_files/{start:x}-{end:x}"
                    size = os.stat(path, dir_fd=self._proc).st_blocks * 512
                found[inode] = max(found.get(inode, 0), size)
        return found
