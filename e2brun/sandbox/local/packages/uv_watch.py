"""uv at work on packages that nobody has reviewed: watched, and ended when it takes too much.

uv unpacks while it downloads, so what an archive claims about itself says nothing; what is
measured is what has come to be: on the disk, in uv's memory, through its connections. The kernel
itself stops a single file, and memory far beyond; the rest is looked at every 50 ms, so by the
time uv ends it can have gone as far over as it gets in that time.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from e2brun.errors import InstallFailed
from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.isolation import syscalls
from e2brun.sandbox.local.packages.tree import measure

GIB = 1024 * MIB
ADDRESS_SPACE = 4 * GIB  # threads' stacks are reserved in it; uv touches a tenth
_MEMORY = GIB
_FLOOR = GIB  # of free disk, or a twentieth of a small one
_LOOK_SECONDS = 0.05
_TCP_INFO_SIZE, _BYTES_RECEIVED = 256, 128  # struct tcp_info, linux/tcp.h
_REMEDY = "If you trust these packages, allow more with --install-size or E2BRUN_INSTALL_SIZE."


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the packages of one layer may take; all of it follows from the size of the layer."""

    layer: int

    @property
    def archive(self) -> int:
        """Bytes of one archive, unpacked."""
        return self.layer // 2

    @property
    def download(self) -> int:
        """Bytes that come over the network."""
        return self.layer // 4

    @property
    def files(self) -> int:
        """Files of one archive: 200,000 where a layer may have 8 GiB."""
        return 200_000 * self.layer // (8 * GIB)


def too_large(what: str) -> InstallFailed:
    return InstallFailed(f"the packages are too large: {what}", hint=_REMEDY)


def shown(size: int) -> str:
    return f"{size / GIB:.3g} GiB" if size >= GIB else f"{size / MIB:.3g} MiB"


def spare(directory: Path) -> int:
    """Bytes that may still be written there. Raises InstallFailed when that is none."""
    disk = os.statvfs(directory)
    floor = min(_FLOOR, disk.f_blocks * disk.f_frsize // 20)
    free = disk.f_bavail * disk.f_frsize - floor
    few_names = disk.f_files and disk.f_favail < disk.f_files // 100
    if free < 0 or few_names:
        raise InstallFailed(
            f"packages cannot be kept in {directory}: the disk is full but for {shown(floor)}",
            hint="Make room, or name a directory on another disk in E2BRUN_CACHE_DIR.",
        )
    return free


@dataclass
class Watch:
    """Looks at one uv process. `cache` is where it unpacks, and nobody else does."""

    process: subprocess.Popen[bytes]
    cache: Path
    bounds: Bounds
    written: int = 0  # bytes, by its own count, which only grows
    _archives: dict[str, int] = field(default_factory=dict[str, int])
    _received: dict[str, int] = field(default_factory=dict[str, int])

    def wait(self, deadline: float) -> int:
        """Its exit code. Raises InstallFailed for a limit, TimeoutError past `deadline`."""
        pidfd = os.pidfd_open(self.process.pid)
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        try:
            pause = 0.0
            while not ended.poll(1000 * min(pause, max(0.0, deadline - monotonic()))):
                if monotonic() >= deadline:
                    raise TimeoutError
                before = monotonic()
                self._look(pidfd)
                # However long it takes to look: no more than a third of the time goes into it.
                pause = max(_LOOK_SECONDS, 2 * (monotonic() - before))
        finally:
            os.close(pidfd)
            self._count_written()  # what a dead process did can be read until it is waited for
        code = self.process.wait()
        if code == -signal.SIGXFSZ:
            raise self._archive_too_large()
        return code

    def _look(self, pidfd: int) -> None:
        spare(self.cache)
        self._look_at_archives()
        proc = f"/proc/{self.process.pid}"
        self._count_written()
        if max(self.written, sum(self._archives.values())) > self.bounds.layer:
            raise too_large(f"more than {shown(self.bounds.layer)}")
        if _memory(proc) > _MEMORY:
            raise InstallFailed(f"a package makes uv use more than {shown(_MEMORY)} of memory")
        self._received |= _bytes_received(proc, pidfd)
        if sum(self._received.values()) > self.bounds.download:
            raise too_large(f"more than {shown(self.bounds.download)} to download")

    def _count_written(self) -> None:
        self.written = max(self.written, _bytes_written(f"/proc/{self.process.pid}"))

    def _look_at_archives(self) -> None:
        """Each is unpacked in a directory of its own, and renamed when it is complete."""
        for archive in self.cache.glob(".tmp*"):
            size = measure(archive)
            self._archives[archive.name] = size.bytes
            if size.files > self.bounds.files:  # first: many small ones take blocks, too
                raise too_large(f"an archive holds more than {self.bounds.files:,} files")
            if size.bytes > self.bounds.archive:
                raise self._archive_too_large()

    def _archive_too_large(self) -> InstallFailed:
        return too_large(f"an archive unpacks to more than {shown(self.bounds.archive)}")


def _bytes_written(proc: str) -> int:
    with suppress(OSError):  # it has ended
        for line in Path(proc, "io").read_text("ascii").splitlines():
            if line.startswith("wchar: "):
                return int(line[7:])
    return 0


def _memory(proc: str) -> int:
    """Anonymous memory that it touched."""
    with suppress(OSError):
        _, resident, shared, *_ = map(int, Path(proc, "statm").read_text("ascii").split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _bytes_received(proc: str, pidfd: int) -> dict[str, int]:
    """By connection. Looked at through a copy of its descriptor: no table has these figures.
    Nothing where the host lets nobody trace even a child; the time limit is left then."""
    found: dict[str, int] = {}
    with suppress(OSError):
        for number in os.listdir(f"{proc}/fd"):
            with suppress(OSError):
                name = os.readlink(f"{proc}/fd/{number}")
                if not name.startswith("socket:"):
                    continue
                with socket.socket(fileno=syscalls.pidfd_getfd(pidfd, int(number))) as copy:
                    info = copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
                with suppress(struct.error):  # an old kernel counts less
                    found[name] = struct.unpack_from("=Q", info, _BYTES_RECEIVED)[0]
    return found
