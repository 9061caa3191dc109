"""How much memory a whole sandbox uses, seen from the host, where no cgroup can tell.

Counted: private pages and page tables of every process, swapped or not, /dev/shm, shared
anonymous memory, the buffers of sockets, and files beyond three quarters of the disk limit (they
live in RAM as well, so that memory and disk together stay well below their sum). Read through
the sandbox's own /proc, which lists exactly its processes and which it cannot change. memfd and
System V memory do not exist inside.
"""

from __future__ import annotations

import os
from contextlib import suppress

from e2brun.errors import SandboxLost
from e2brun.sandbox.contract import HOME, MIB, Limits

INTERVAL = 0.03  # seconds between looks: at 3 GB/s a process gains 90 MB between two
_PAGE_KB = 1024
_NOISE = 64 * MIB  # what the host's own shared memory may gain meanwhile
_MAPS_LIMIT = MIB  # of text, 12 000 mappings: honest programs have hundreds
# A socket holds its send buffer (whose size the filter keeps at the default) and one more write.
_SOCKET_BYTES = 2 * 212_992
_FREE_SOCKETS = 64
_TCP_SOCKET_BYTES = 16 * MIB
_MANY_FILES = 2000  # open at once, in all processes
_PRIVATE = (b"RssAnon:", b"VmPTE:", b"VmSwap:", b"HugetlbPages:")


class MemoryWatch:
    """Looks at one sandbox's memory whenever asked."""

    def __init__(self, agent_pid: int, limits: Limits, views: tuple[int, ...] = ()) -> None:
        """`views`: descriptors of the sandbox's /proc, home and /dev/shm, which are ours now."""
        self._limits = limits
        root = f"/proc/{agent_pid}/root"
        self._open: list[int] = list(views)
        self._twins_seen: set[str] = set()
        try:
            if not views:
                self._keep(f"{root}/proc", os.O_RDONLY | os.O_DIRECTORY)
                self._keep(f"{root}{HOME}", os.O_PATH)
                self._keep(f"{root}/dev/shm", os.O_PATH)  # noqa: S108
        except OSError as error:
            self.close()
            raise SandboxLost(f"the sandbox cannot be watched: {error.strerror}") from error
        self._proc, self._disk, self._shm = self._open
        self._shared_before, self._kernel_before = _host_memory()
        self._tcp_before = self._tcp_memory()[1]

    def _keep(self, path: str, flags: int) -> None:
        self._open.append(os.open(path, flags | os.O_CLOEXEC))

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.pop())

    def usage(self) -> tuple[int, int, int]:
        """Roughly: bytes of memory and of disk in use, and ticks of processor time spent."""
        statuses = (*self._statuses().values(), self._read("1/status"))
        memory = sum(_private(status) for status in statuses)
        shm, disk = os.fstatvfs(self._shm), os.fstatvfs(self._disk)
        memory += (shm.f_blocks - shm.f_bfree) * shm.f_frsize
        ticks = sum(
            _ticks(self._read(f"{name}/stat")) for name in os.listdir(self._proc) if name.isdigit()
        )
        return memory, (disk.f_blocks - disk.f_bfree) * disk.f_frsize, ticks

    def apart(self) -> MemoryWatch:
        """One with descriptors of its own, for a look in another thread; to be closed."""
        from copy import copy

        other = copy(self)  # what it has seen is still the same
        other._open = []
        for descriptor in self._open:
            other._open.append(os.dup(descriptor))
        other._proc, other._disk, other._shm = other._open
        return other

    def suspicious(self) -> bool:
        """Whether `exceeded` is worth asking, which may take a second where somebody makes it."""
        statuses = self._statuses()
        shared, kernel = _host_memory()
        unexplained = shared - self._shared_before, kernel - self._kernel_before
        elsewhere = sum(size for size in unexplained if size > _NOISE) + self._sockets()
        mapped = sum(_kilobytes(status, b"RssShmem:") for status in statuses.values())
        private = sum(_private(status) for status in statuses.values())
        return elsewhere + private + max(self._files(), mapped) > self._limits.memory

    def exceeded(self) -> bool:
        """Whether the sandbox uses more than its limit now."""
        limit = self._limits.memory
        statuses = self._statuses()
        shared, kernel = _host_memory()
        elsewhere = self._sockets() + self._kernel_objects(statuses, kernel)
        files = self._files() + self._hidden_shared(statuses, shared)
        private = sum(_private(status) for status in statuses.values())
        mapped_shared = sum(_kilobytes(status, b"RssShmem:") for status in statuses.values())
        if elsewhere + private + max(files, mapped_shared) <= limit:
            return False
        for twin in self._twins(statuses):
            del statuses[twin]
        # Pages shared by forked processes were counted once for each: look closely.
        private, mapped_shared = self._proportional(statuses)
        return elsewhere + private + max(files, mapped_shared) > limit

    def _files(self) -> int:
        disk, shm = os.fstatvfs(self._disk), os.fstatvfs(self._shm)
        on_disk = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        free_of_charge = self._limits.disk * 3 // 4
        return (shm.f_blocks - shm.f_bfree) * shm.f_frsize + max(0, on_disk - free_of_charge)

    def _statuses(self) -> dict[str, bytes]:
        """Place below /proc -> status, of every process but the agent, which is 1."""
        found: dict[str, bytes] = {}
        for name in os.listdir(self._proc):
            if name.isdigit() and name != "1":
                place, status = self._status(name)
                found[place] = status
        return found

    def _status(self, name: str) -> tuple[str, bytes]:
        status = self._read(f"{name}/status")
        if b"\nVmRSS:" in status:
            return name, status
        # A first thread that has ended shows no memory; others of the process may live on.
        for thread in self._names(f"{name}/task"):
            place = f"{name}/task/{thread}"
            if b"\nVmRSS:" in (other := self._read(f"{place}/status")):
                return place, other
        return name, status

    def _twins(self, statuses: dict[str, bytes]) -> list[str]:
        """Children that look like their parent and were not seen to before. Between vfork and
        exec, a moment only, both have the same memory: that is no reason to end a program."""
        twins = [
            name
            for name, status in statuses.items()
            if (parent := statuses.get(_word(status, b"PPid:").decode())) is not None
            and _word(status, b"VmSize:") == _word(parent, b"VmSize:")
            and abs(_private(status) - _private(parent)) < MIB
        ]
        fresh = [name for name in twins if name not in self._twins_seen]
        self._twins_seen.clear()
        self._twins_seen.update(twins)
        return fresh

    def _proportional(self, statuses: dict[str, bytes]) -> tuple[int, int]:
        """Private and shared bytes with every shared page counted once (Pss, proc(5))."""
        private = shared = 0
        for place, status in statuses.items():
            rollup = self._read(f"{place}/smaps_rollup")
            if not rollup and not self._lives(place):
                continue
            private += _private(status)
            # None for who runs a program that may not be read, of which a user is told less.
            if rollup:
                private += _kilobytes(rollup, b"Pss_Anon:") - _kilobytes(status, b"RssAnon:")
                private += _kilobytes(rollup, b"SwapPss:") - _kilobytes(status, b"VmSwap:")
            shared += _kilobytes(rollup, b"Pss_Shmem:")
        return private, shared

    def _hidden_shared(self, statuses: dict[str, bytes], shared_now: int) -> int:
        """Shared memory that was dropped from every page table still fills RAM, but no
        process's count shows it: it is ours if the host's shared memory grew as much, and
        mappings of that size exist in here."""
        disk, shm = os.fstatvfs(self._disk), os.fstatvfs(self._shm)
        visible = sum((fs.f_blocks - fs.f_bfree) * fs.f_frsize for fs in (disk, shm))
        unexplained = shared_now - self._shared_before - visible
        if unexplained <= _NOISE:
            return 0
        sizes: dict[bytes, int] = {}
        for place in statuses:
            maps = self._maps(place)
            haystack = len(maps) >= _MAPS_LIMIT
            if haystack or (not maps and self._lives(place)):  # whatever it hides
                return unexplained
            for inode, size in _shared_mappings(maps).items():
                sizes[inode] = max(size, sizes.get(inode, 0))
        return min(unexplained, sum(sizes.values()))

    def _kernel_objects(self, statuses: dict[str, bytes], kernel_now: int) -> int:
        """What the host's kernel gained for its own objects, if something in here has far more
        of them than programs need: mappings (60 000 a process cost 13 MiB), locks, files."""
        grown = kernel_now - self._kernel_before
        if grown <= 2 * _NOISE:
            return 0
        hoards = (
            len(self._read("locks", _MAPS_LIMIT)) >= _MAPS_LIMIT // 4
            or any(len(self._maps(place)) >= _MAPS_LIMIT for place in statuses)
            or sum(len(self._names(f"{place}/fd")) for place in statuses) > _MANY_FILES
        )
        return grown if hoards else 0

    def _sockets(self) -> int:
        """The most that the sandbox's sockets may hold, beyond what every program has."""
        in_use, tcp_now = self._tcp_memory()
        sockets = _word(self._read("1/net/sockstat"), b"sockets: used")
        count = int(sockets) if sockets.isdigit() else 0
        tcp = min(max(0, tcp_now - self._tcp_before), in_use * _TCP_SOCKET_BYTES)
        return max(0, count - _FREE_SOCKETS) * _SOCKET_BYTES + tcp

    def _tcp_memory(self) -> tuple[int, int]:
        """TCP sockets in the sandbox, and what those of the whole host hold, which is counted
        for all together."""
        line = self._read("1/net/sockstat").partition(b"TCP: ")[2].partition(b"\n")[0].split()
        facts = dict(zip(line[::2], line[1::2], strict=False))
        return int(facts.get(b"alloc", 0)), int(facts.get(b"mem", 0)) * os.sysconf("SC_PAGE_SIZE")

    def _lives(self, place: str) -> bool:
        return b"\nVmRSS:" in self._read(f"{place}/status")

    def _maps(self, place: str) -> bytes:
        return self._read(f"{place}/maps", _MAPS_LIMIT)

    def _names(self, path: str) -> list[str]:
        with suppress(OSError):  # the process is gone
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
            try:
                return os.listdir(descriptor)
            finally:
                os.close(descriptor)
        return []

    def _read(self, path: str, limit: int = 64 * MIB) -> bytes:
        pieces: list[bytes] = []
        length = 0
        with suppress(OSError):  # the process is gone
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
            try:
                while length < limit and (piece := os.read(descriptor, 65536)):
                    pieces.append(piece)
                    length += len(piece)
                    if len(piece) < 3072:  # /proc gives whole records, near a page each time
                        break
            finally:
                os.close(descriptor)
        return b"".join(pieces)


def _private(status: bytes) -> int:
    """What one process alone has: pages, page tables, what of it is swapped out or huge."""
    return sum(_kilobytes(status, name) for name in _PRIVATE)


def _ticks(stat: bytes) -> int:
    """Processor time of one process and of its dead children, of a /proc/PID/stat line."""
    words = stat.rpartition(b")")[2].split()[11:15]  # utime stime cutime cstime
    return sum(int(word) for word in words)


def _word(text: bytes, field: bytes) -> bytes:
    """The first word of the line that begins with `field`; b'' when there is none."""
    # A line's beginning, since a process may call itself "RssAnon: 0 kB".
    at = (b"\n" + text).find(b"\n" + field)
    words = text[at + len(field) : at + len(field) + 40].split(None, 1) if at >= 0 else []
    return words[0] if words else b""


def _kilobytes(text: bytes, field: bytes) -> int:
    """The bytes of a `Field:   123 kB` line; 0 when there is none."""
    word = _word(text, field)
    return int(word) * _PAGE_KB if word.isdigit() else 0


def _host_memory() -> tuple[int, int]:
    """Shared memory, and memory of the kernel's own objects, of the whole host."""
    with open("/proc/meminfo", "rb") as file:
        text = file.read()
    return _kilobytes(text, b"Shmem:"), _kilobytes(text, b"SUnreclaim:")


def _shared_mappings(maps: bytes) -> dict[bytes, int]:
    """Inode -> size of each shared anonymous mapping in a /proc/PID/maps text."""
    found: dict[bytes, int] = {}
    for line in maps.splitlines():
        if b"/dev/zero" in line:
            span, _, _, _, inode, *_ = line.split()
            start, end = span.split(b"-")
            found[inode] = max(found.get(inode, 0), int(end, 16) - int(start, 16))
    return found
