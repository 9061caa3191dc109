"""How much memory a whole sandbox uses, seen from the host, where no cgroup can tell.

Counted: private pages and page tables of every process, swapped or not, /dev/shm, shared
anonymous memory, what sockets, pipes, other descriptors and the names of files may hold in the
kernel, and files beyond three quarters of the disk limit (they live in RAM as well, so that
memory and disk together stay well below their sum). Read through the sandbox's own /proc, which
lists exactly its processes and which it cannot change. memfd and System V memory do not exist
inside. What is in no count is for `unaccounted`. With a cgroup all this is the kernel's to say.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from e2brun.errors import SandboxLost
from e2brun.sandbox.contract import HOME, MIB, Limits
from e2brun.sandbox.local.isolation.environment import CGROUPS, SOCKET_BUFFER
from e2brun.sandbox.local.memory.kernel_memory import KernelMemory
from e2brun.sandbox.local.memory.procfs import (
    ProcessTable,
    contents,
    kilobytes,
    private,
    process,
    shown,
    word,
)

if TYPE_CHECKING:
    from e2brun.sandbox.local.memory.cgroup import Cgroup
    from e2brun.sandbox.local.memory.close_look import CloseLook
    from e2brun.sandbox.local.memory.orphaned import Orphaned
    from e2brun.sandbox.local.memory.unaccounted import Unaccounted

INTERVAL = 0.03  # seconds between looks: at 3 GB/s a process gains 90 MB between two
_NOISE = 64 * MIB  # what the host's own shared memory may gain meanwhile
_MAPS_LIMIT = MIB  # of text, 12 000 mappings: honest programs have hundreds
# A socket holds its send buffer (whose size the filter keeps at the default) and one more write;
# `prepare_network` keeps TCP to as much.
_SOCKET_BYTES = 2 * SOCKET_BUFFER
_FREE_SOCKETS = 64
# A pipe holds 64 KiB; once a user's hold 64 MiB (pipe(7)), the next are given 8 KiB.
_DESCRIPTOR_BYTES = 10 * 1024
_FREE_DESCRIPTORS = 512
# Of pages that nobody has, no more can be theirs: a whole page for each byte in a socket's 17 MiB
# (measured, by splice), a megabyte for a pipe.
_SOCKET_PAGES, _DESCRIPTOR_PAGES = 20 * MIB, MIB
_INODE_BYTES = 1280  # with its name; extended attributes are counted as inodes (tmpfs(5))
_PATIENCE = 0.05  # seconds for a close look at a sandbox that has hidden something
_ALL_TIME, _IN_KERNEL = (11, 12, 13, 14), (12, 14)  # after the name: utime stime cutime cstime


class MemoryWatch:
    """Looks at one sandbox's memory whenever asked."""

    def __init__(self, agent_pid: int, limits: Limits, views: tuple[int, ...] = ()) -> None:
        """`views`: descriptors of the sandbox's /proc, home and /dev/shm, which are ours now."""
        self._agent, self._limits = agent_pid, limits
        root = f"/proc/{agent_pid}/root"
        self._open: list[int] = list(views)
        self._vforked_seen: set[str] = set()
        self._least: dict[str, int] = {}  # private bytes that each process had at least
        self._group: Cgroup | None = None
        try:
            if not views:
                self._keep(f"{root}/proc", os.O_RDONLY | os.O_DIRECTORY)
                self._keep(f"{root}{HOME}", os.O_PATH)
                self._keep(f"{root}/dev/shm", os.O_PATH)
        except OSError as error:
            self.close()
            raise SandboxLost(f"the sandbox cannot be watched: {error.strerror}") from error
        self._proc, self._disk, self._shm = self._open
        self._processes = ProcessTable(self._proc)
        self._shared_before = kilobytes(contents("/proc/meminfo"), b"Shmem:")
        self._unaccounted: Unaccounted | None = None  # until there is something to be seen
        self._kernel_memory = KernelMemory(limits.processes * limits.open_files, limits.memory)
        self._orphaned: Orphaned | None = None  # likewise
        self._apart = False
        if os.path.exists(CGROUPS):
            from e2brun.sandbox.local.memory.cgroup import Cgroup

            self._group = Cgroup.of(agent_pid, limits)
        self.unexplained = False  # what made `exceeded` say so
        # Bytes at the last call of `suspicious`: of memory and files, at most; of files on disk.
        self.held = self.files = 0

    def _keep(self, path: str, flags: int) -> None:
        self._open.append(os.open(path, flags | os.O_CLOEXEC))

    def close(self) -> None:
        while self._open:
            os.close(self._open.pop())
        if self._apart:  # the rest is another's
            return
        if self._orphaned is not None:
            self._orphaned.close()
        if self._group is not None:
            self._group.remove()

    def usage(self) -> tuple[int, int, int]:
        """Roughly: bytes of memory and of disk in use, and ticks of processor time spent."""
        statuses = (*self._processes.statuses().values(), self._processes.read("1/status"))
        memory = sum(private(status) for status in statuses)
        memory += _used(os.fstatvfs(self._shm))
        return memory, _used(os.fstatvfs(self._disk)), self._ticks(_ALL_TIME)

    @property
    def proc(self) -> str:
        """Where its /proc is to be read."""
        return f"/proc/self/fd/{self._proc}"

    def apart(self) -> MemoryWatch:
        """One with descriptors of its own, for a look in another thread; to be closed."""
        from copy import copy

        other = copy(self)  # what it has seen is still the same
        other._open = []
        other._apart = True
        for descriptor in self._open:
            other._open.append(os.dup(descriptor))
        other._proc, other._disk, other._shm = other._open
        other._processes = ProcessTable(other._proc)
        return other

    def suspicious(self) -> bool:
        """Whether `exceeded` is worth asking, which may take a second where somebody makes it."""
        self.files = _used(os.fstatvfs(self._disk))
        if self._group is not None:
            self.held = self._group.used()
            return True
        statuses = self._processes.statuses()
        meminfo = contents("/proc/meminfo")
        shared = kilobytes(meminfo, b"Shmem:") - self._shared_before
        counted, charged = self._kernel(statuses, meminfo)
        orphaned = self._orphaned_bytes(statuses)
        seen = shown(statuses.values(), self._files())
        self.held = counted + orphaned + seen + self._free_of_charge()
        if self._kernel_memory.excessive or self._kernel_memory.due(self._gone()):
            return True
        elsewhere = max(counted, charged) + orphaned + (shared if shared > _NOISE else 0)
        return elsewhere + seen > self._limits.memory

    def lent(self) -> int:
        """Bytes of `held` that are counted for others as well, as pages of what its processes were
        forked from. Takes long where there is much."""
        if self._group is not None:
            return 0
        statuses = self._processes.statuses()
        holdings = self._close_look(_PATIENCE).holdings(statuses)
        own = sum(its.private for its in holdings.values())
        return max(0, sum(map(private, statuses.values())) - own)

    def exceeded(self) -> bool:
        """Whether the sandbox uses more than its limit now."""
        limit = self._limits.memory
        if self._group is not None:
            used = self._group.used() - self._free_of_charge()
            return self.killed() or used > limit or self._hoard_in(self._group)
        statuses = self._processes.statuses()
        meminfo = contents("/proc/meminfo")
        counted, charged = self._kernel(statuses, meminfo)
        if max(counted, charged) <= limit and self._kernel_memory.due(self._gone()):
            self._kernel_memory.look(self._proc, statuses, self._gone())
            counted = max(counted, self._kernel_memory.bytes)
        if self._kernel_memory.excessive:
            self.unexplained = True
            return True
        orphaned = self._orphaned_bytes(statuses)
        elsewhere = max(counted, charged) + orphaned
        if elsewhere > limit:  # whatever else there is, and while we look it would grow
            self.unexplained = counted - self._kernel_memory.bytes <= limit
            return True
        files = self._files()
        files += self._hidden_shared(statuses, kilobytes(meminfo, b"Shmem:"))
        hurry = bool(charged or orphaned or self._kernel_memory.bytes)
        total = self._taken(statuses, files, limit - elsewhere, hurry=hurry)
        self.unexplained = total + counted - self._kernel_memory.bytes <= limit
        return total + elsewhere > limit

    @property
    def doubtful(self) -> bool:
        """Whether `exceeded` will say so if what it has seen lasts."""
        parts = (self._unaccounted, self._orphaned)
        return any(part is not None and part.doubtful for part in parts)

    def killed(self) -> bool:
        """Whether the kernel has ended something in it for its memory."""
        return self._group is not None and self._group.killed()

    def in_files(self) -> int:
        """Bytes of memory that its files are."""
        return _used(os.fstatvfs(self._disk)) + _used(os.fstatvfs(self._shm))

    def _files(self) -> int:
        disk, shm = os.fstatvfs(self._disk), os.fstatvfs(self._shm)
        names = sum(fs.f_files - fs.f_ffree for fs in (disk, shm)) * _INODE_BYTES
        return _used(shm) + names + max(0, _used(disk) - self._limits.disk * 3 // 4)

    def _free_of_charge(self) -> int:
        return min(_used(os.fstatvfs(self._disk)), self._limits.disk * 3 // 4)

    def _taken(self, statuses: dict[str, bytes], files: int, room: int, *, hurry: bool) -> int:
        """Bytes of its processes and files: no more than that where it is within `room`, no less
        where it is not. `hurry`: a close look may be made to take long, by 65,530 mappings of each
        process, for instance."""
        own = {process(place): private(status) for place, status in statuses.items()}
        least = {number: min(size, self._least.get(number, size)) for number, size in own.items()}
        self._least.clear()  # in place, since one that is `apart` has it too
        self._least.update(least)
        most = shown(statuses.values(), files)
        tables = sum(kilobytes(status, b"VmPTE:") for status in statuses.values())
        # A close look at so many pages would walk through all of it, for seconds.
        if most <= room or tables > self._limits.memory // 4:
            return most
        patience = _PATIENCE if hurry else float("inf")
        return self._close_look(patience).taken(statuses, least, files, room)

    def _close_look(self, patience: float) -> CloseLook:
        from e2brun.sandbox.local.memory.close_look import CloseLook

        processes, is_long = self._processes, self._kernel_memory.fragmented
        return CloseLook(processes, self._agent, self._vforked_seen, is_long, patience)

    def _hidden_shared(self, statuses: dict[str, bytes], shared_now: int) -> int:
        """Shared memory that was dropped from every page table still fills RAM, but no
        process's count shows it: it is ours if the host's shared memory grew as much, and
        mappings of that size exist in here."""
        visible = self.in_files()
        unexplained = shared_now - self._shared_before - visible
        if unexplained <= _NOISE:
            return 0
        sizes: dict[bytes, int] = {}
        for place in statuses:
            maps = self._processes.about(place, "maps", _MAPS_LIMIT)
            haystack = len(maps) >= _MAPS_LIMIT
            if haystack or (not maps and self._processes.lives(place)):  # whatever it hides
                return unexplained
            for inode, size in self._processes.shared_objects(place, maps).items():
                sizes[inode] = max(size, sizes.get(inode, 0))
        return min(unexplained, sum(sizes.values()))

    def _kernel(self, statuses: dict[str, bytes], meminfo: bytes) -> tuple[int, int]:
        """The most that what we can count holds in the kernel, beyond what every program has;
        and what is charged to the sandbox because nobody else has it."""
        if self._unaccounted is None:
            from e2brun.sandbox.local.memory.unaccounted import Unaccounted

            self._unaccounted = Unaccounted(_NOISE + self._limits.memory // 10)
        if not statuses:
            self._unaccounted.forget()
            self._kernel_memory.forget()
            return 0, 0
        sockets = int(word(self._processes.read("1/net/sockstat"), b"sockets: used") or 0)
        descriptors = sum(map(self._descriptors, statuses, statuses.values()))
        counted = max(0, sockets - _FREE_SOCKETS) * _SOCKET_BYTES
        counted += max(0, descriptors - _FREE_DESCRIPTORS) * _DESCRIPTOR_BYTES
        counted += self._kernel_memory.bytes
        pages = sockets * _SOCKET_PAGES + descriptors * _DESCRIPTOR_PAGES
        charged = self._unaccounted.charge(meminfo, pages, lambda: self._ticks(_IN_KERNEL))
        return counted, charged

    def _orphaned_bytes(self, statuses: dict[str, bytes]) -> int:
        if self._orphaned is None:
            small = sum(map(private, statuses.values())) < self._limits.memory // 8
            if self._apart or (len(statuses) < 2 and small):  # as most programs are
                return 0  # `apart`: nobody would close what only it holds
            from e2brun.sandbox.local.memory.orphaned import Orphaned

            self._orphaned = Orphaned(self._agent, self._limits)
        return self._orphaned.look(self._processes, statuses)

    def _hoard_in(self, group: Cgroup) -> bool:
        """Whether it has far more of what is counted for its user, on the host too, than a program
        can make use of; its memory is in the group's count."""
        kernel = group.kernel()
        if self._kernel_memory.due(kernel):
            self._kernel_memory.look(self._proc, self._processes.statuses(), kernel)
        self.unexplained = self._kernel_memory.excessive
        return self.unexplained

    def _gone(self) -> int:
        return 0 if self._unaccounted is None else self._unaccounted.gone

    def _descriptors(self, place: str, status: bytes) -> int:
        with suppress(OSError):  # the process is gone
            found = os.stat(f"{place}/fd", dir_fd=self._proc).st_size
            return found or int(word(status, b"FDSize:") or 0)  # 0: before Linux 6.2
        return 0

    def _ticks(self, kinds: tuple[int, ...]) -> int:
        """Processor time of every process and of its dead children, of these kinds."""
        names = [name for name in os.listdir(self._proc) if name.isdigit()]
        stats = map(self._processes.stat, names)
        return sum(int(words[kind]) for words in stats if words for kind in kinds)


def _used(files: os.statvfs_result) -> int:
    return (files.f_blocks - files.f_bfree) * files.f_frsize
