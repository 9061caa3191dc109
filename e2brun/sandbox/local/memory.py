"""How much memory a whole sandbox uses, seen from the host, where no cgroup can tell.

Counted: private pages and page tables of every process, /dev/shm, shared anonymous memory, and
files beyond three quarters of the disk limit (they live in RAM as well, so that memory and disk
together stay well below their sum). Read through the sandbox's own /proc, which lists exactly
its processes and which it cannot change. memfd and System V memory do not exist inside.
"""

from __future__ import annotations

import os
from contextlib import suppress

from e2brun.errors import SandboxLost
from e2brun.sandbox.contract import HOME, Limits

INTERVAL = 0.03  # seconds between looks: at 3 GB/s a process gains 90 MB between two
_PAGE_KB = 1024


class MemoryWatch:
    """Looks at one sandbox's memory whenever asked."""

    def __init__(self, agent_pid: int, limits: Limits) -> None:
        self._limits = limits
        root = f"/proc/{agent_pid}/root"
        self._open: list[int] = []
        try:
            self._proc = self._keep(f"{root}/proc", os.O_RDONLY | os.O_DIRECTORY)
            self._disk = self._keep(f"{root}{HOME}", os.O_PATH)
            self._shm = self._keep(f"{root}/dev/shm", os.O_PATH)  # noqa: S108
        except OSError as error:
            self.close()
            raise SandboxLost(f"the sandbox cannot be watched: {error.strerror}") from error
        self._shared_before = _host_shared()

    def _keep(self, path: str, flags: int) -> int:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
        self._open.append(descriptor)
        return descriptor

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.pop())

    def exceeded(self) -> bool:
        """Whether the sandbox uses more than its limit now."""
        limit = self._limits.memory
        processes = self._processes()
        private = mapped_shared = 0
        for name in processes:
            status = self._read(f"{name}/status")
            private += _kilobytes(status, b"RssAnon:") + _kilobytes(status, b"VmPTE:")
            mapped_shared += _kilobytes(status, b"RssShmem:")
        files = self._files()
        if private + max(files, mapped_shared) > limit:
            # Pages shared by forked processes were counted once for each: look closely.
            private, mapped_shared = self._proportional(processes)
            if private + max(files, mapped_shared) > limit:
                return True
        return self._hides_shared(processes, limit)

    def _files(self) -> int:
        disk, shm = os.fstatvfs(self._disk), os.fstatvfs(self._shm)
        on_disk = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        free_of_charge = self._limits.disk * 3 // 4
        return (shm.f_blocks - shm.f_bfree) * shm.f_frsize + max(0, on_disk - free_of_charge)

    def _processes(self) -> list[str]:
        # 1 is the agent.
        return [name for name in os.listdir(self._proc) if name.isdigit() and name != "1"]

    def _proportional(self, processes: list[str]) -> tuple[int, int]:
        """Private and shared bytes with every shared page counted once (Pss, proc(5))."""
        private = shared = 0
        for name in processes:
            status = self._read(f"{name}/status")
            rollup = self._read(f"{name}/smaps_rollup")
            exact = _kilobytes(rollup, b"Pss_Anon:") if rollup else _kilobytes(status, b"RssAnon:")
            private += exact + _kilobytes(status, b"VmPTE:")
            shared += _kilobytes(rollup, b"Pss_Shmem:")
        return private, shared

    def _hides_shared(self, processes: list[str], limit: int) -> bool:
        """Shared memory that was dropped from every page table still fills RAM, but no
        process's count shows it: it is ours if the host's shared memory grew as much, and
        mappings of that size exist in here."""
        disk, shm = os.fstatvfs(self._disk), os.fstatvfs(self._shm)
        visible = sum((fs.f_blocks - fs.f_bfree) * fs.f_frsize for fs in (disk, shm))
        unexplained = _host_shared() - self._shared_before - visible
        if unexplained <= limit:
            return False
        sizes: dict[bytes, int] = {}
        for name in processes:
            sizes.update(_shared_mappings(self._read(f"{name}/maps")))
        return sum(sizes.values()) > limit

    def _read(self, path: str) -> bytes:
        pieces: list[bytes] = []
        with suppress(OSError):  # the process is gone
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
            try:
                while piece := os.read(descriptor, 65536):
                    pieces.append(piece)
                    if len(piece) < 3072:  # /proc gives whole records, near a page each time
                        break
            finally:
                os.close(descriptor)
        return b"".join(pieces)


def _kilobytes(text: bytes, field: bytes) -> int:
    """The bytes of a `Field:   123 kB` line; 0 when there is none."""
    at = text.find(field)
    if at < 0:
        return 0
    return int(text[at + len(field) :].split(None, 1)[0]) * _PAGE_KB


def _host_shared() -> int:
    with open("/proc/meminfo", "rb") as file:
        return _kilobytes(file.read(), b"Shmem:")


def _shared_mappings(maps: bytes) -> dict[bytes, int]:
    """Inode -> size of each shared anonymous mapping in a /proc/PID/maps text."""
    found: dict[bytes, int] = {}
    for line in maps.splitlines():
        if b"/dev/zero" in line:
            span, _, _, _, inode, *_ = line.split()
            start, end = span.split(b"-")
            found[inode] = max(found.get(inode, 0), int(end, 16) - int(start, 16))
    return found
