"""The volumes of a service: directories that outlive sandboxes, and that several of them share.

The service itself opens nothing in one: contents go through a file worker that has the volume and
nothing else (`volume_broker`). What is in a volume is known as of the last look (`volume_watch`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import shutil
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from e2brun.errors import SandboxError
from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.host.file_worker import LONG_PATIENCE, FileTrouble, FileWorker
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.host.volumes import VolumeBroker
from e2brun.server.http.messages import ApiError, Refused
from e2brun.server.sandboxes.durable import is_whole, keep, recovered
from e2brun.server.sandboxes.records import Mount, Record, State

log = logging.getLogger("e2brun.server")

FILES = 100_000  # and directories, of one volume
_BLOCK = 4096  # bytes: no file is smaller on disk
_FRESH_SECONDS = 2.0  # for which a look at what others write to as well is good
_WAITING = 16  # file workers that have nothing to do
# Bytes of disk that volumes leave to the machine, or an eighth of what is free.
_SPARE = 2 * 1024**3
_ID = re.compile(r"[0-9a-f]{20}", re.ASCII)
_TRIES = 5  # at emptying a volume that somebody still writes to


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume; its token opens its contents and nothing else."""

    name: str
    id: str = field(default_factory=lambda: secrets.token_hex(10))
    token: str = field(default_factory=lambda: f"vol_{secrets.token_hex(20)}", repr=False)

    def __post_init__(self) -> None:
        """What a list from before says names a directory of the host's."""
        if not _ID.fullmatch(self.id):
            raise ValueError("that is no volume's id")


@dataclass(slots=True)
class Contents:
    """What is in a volume, by the last look and what was written through us since."""

    size: int = 0
    files: int = 0
    looked: float = -1e9  # by the loop's clock
    records: set[Record] = field(default_factory=set["Record"])  # that have it mounted


class _Place:
    """A volume as the place of file workers."""

    def __init__(self, broker: VolumeBroker, volume: str) -> None:
        self._broker, self._volume = broker, volume
        self.gone = asyncio.Event()  # never set: a volume stays while its service does

    async def file_worker(self, channel: int, on_end: Callable[[], None]) -> Callable[[], None]:
        """One whose root the volume is. Raises SandboxError."""
        del on_end  # nobody is told of it: it ends when we hang up
        with SandboxError.of_system("the volume cannot be opened"):
            await self._broker.work(self._volume, channel)
        return lambda: None  # likewise: nobody in there can stop it


class Volumes:
    """All volumes of a service, in its directory; `durable`: the next service has them, too."""

    def __init__(self, directory: Path, limit: int, *, durable: bool) -> None:
        """`limit`: bytes of each."""
        self.limit = limit
        self.directory = directory / "volumes"
        self._index = directory / "volumes.json" if durable else None
        self._broker = VolumeBroker(self.directory)
        self._workers: dict[str, FileWorker] = {}  # the one that was used last at the end
        self.contents = defaultdict[str, Contents](Contents)  # what is known of each
        self.mounted = asyncio.Event()  # there may be something to watch
        self._floor = min(_SPARE, shutil.disk_usage(directory).free // 8)
        kept: list[Volume] = recovered(self._index, list[Volume], [])
        self.by_id = {volume.id: volume for volume in kept}

    def find(self, text: str) -> Volume:
        """By id or name. Raises ApiError 404."""
        found = self.by_id.get(text)
        if found is None:
            found = next((one for one in self.by_id.values() if one.name == text), None)
        if found is None:
            raise Refused(404, f"volume {text[:100]!r} was not found")
        return found

    def create(self, name: str) -> Volume:
        """Raises ApiError."""
        volume = Volume(name)
        self._broker.make(volume.id)
        self._save({**self.by_id, volume.id: volume})
        return volume

    async def destroy(self, volume: Volume) -> None:
        """Nobody finds it any more, and its files go; who has it mounted is left with nothing."""
        self._save({name: one for name, one in self.by_id.items() if one is not volume})
        await self._raze(volume.id)
        self.contents.pop(volume.id, None)

    async def take_stock(self) -> None:
        """Count what is in volumes from before, and remove those that are not in the list: of a
        service that was killed."""
        for volume in tuple(self.by_id.values()):
            try:
                await self.look(volume.id)
            except (FileTrouble, SandboxError, OSError) as error:
                log.warning("volume %r cannot be read: %s", volume.name, error)
        if self._index is not None and self._index.exists() and is_whole(self.directory.parent):
            with suppress(FileNotFoundError):
                for name in set(os.listdir(self.directory)) - set(self.by_id):
                    with suppress(FileTrouble, SandboxError, OSError):
                        await self._raze(name)

    def close(self) -> None:
        while self._workers:
            self._dismiss(next(iter(self._workers)))
        self._broker.close()

    def files(self, volume: str) -> FileWorker:
        """Who works on its files; paths begin at the volume."""
        found = self._workers.pop(volume, None) or FileWorker(_Place(self._broker, volume))
        waiting = [worker for worker in self._workers.values() if worker.waits]
        for worker in waiting[: max(0, len(waiting) - _WAITING)]:
            worker.close()  # another process is started when it is asked again
        self._workers[volume] = found
        return found

    @asynccontextmanager
    async def mounts(
        self, record: Record, wanted: Iterable[Mount]
    ) -> AsyncGenerator[tuple[tuple[str, int], ...]]:
        """What a new sandbox is to be started with, and is, before the context ends."""
        made: list[tuple[str, int]] = []
        try:
            for mount in wanted:
                if mount.volume in self.by_id:
                    made.append((mount.path, await self._broker.mount(mount.volume)))
                else:
                    record.journal.note(f"volume {mount.name!r} was destroyed", "warn")
            yield tuple(made)
        finally:
            for _, descriptor in made:
                os.close(descriptor)

    def watch(self, record: Record, live: RunningSandbox) -> None:
        """`record` is a sandbox with volumes from now on, until it is gone."""
        contents = [self.contents[mount.volume] for mount in record.origin.mounts]
        for content in contents:
            content.records.add(record)

        def forget() -> None:
            for content in contents:
                content.records.discard(record)

        live.on_gone(forget)
        self.mounted.set()

    def in_use(self) -> dict[str, list[Record]]:
        """The ids of volumes that sandboxes which run may write to, and those sandboxes."""
        found = {
            name: [record for record in content.records if record.state is State.RUNNING]
            for name, content in self.contents.items()
        }
        return {name: records for name, records in found.items() if records}

    async def look(self, volume: str) -> Contents:
        """Count what is in it. Raises FileTrouble, SandboxError."""
        answer = await self.files(volume).ask("usage", patience=LONG_PATIENCE, files=FILES)
        content = self.contents[volume]
        match answer.value:
            case [int(size), int(files)]:
                content.size, content.files = size, files
                content.looked = asyncio.get_running_loop().time()
            case _:
                raise FileTrouble(0, "malformed")
        return content

    def excess(self, volume: str) -> str | None:
        """Why it has more than it may; None where it has not."""
        content = self.contents[volume]
        if content.size <= self.limit and content.files <= FILES:
            return None
        name = self.by_id[volume].name if volume in self.by_id else volume
        return (
            f"volume {name!r} has {content.size // MIB} MiB in {content.files} files, and may have "
            f"{self.limit // MIB} MiB (--volume-size) in {FILES}"
        )

    def disk_is_short(self, more: int = 0) -> bool:
        """Whether there is no room on disk for so many bytes."""
        return self.free()[0] - more < self._floor

    def free(self) -> tuple[int, int]:
        """Bytes and files that fit on the disk."""
        try:
            facts = os.statvfs(self.directory)
        except OSError:  # as good as none
            return 0, 0
        return facts.f_bavail * facts.f_frsize, facts.f_favail

    def total(self) -> int:
        """Bytes of all together."""
        return sum(content.size for content in self.contents.values())

    async def make_room(self, volume: str, size: int) -> None:
        """Somebody is about to write `size` bytes more to it. Raises ApiError 507."""
        content = self.contents[volume]
        old = content.looked < 0 or content.records
        stale = asyncio.get_running_loop().time() - content.looked > _FRESH_SECONDS
        if (old and stale) or self._is_full(content, size):
            await self.look(volume)
        if self._is_full(content, size) or self.disk_is_short(size):
            raise ApiError(507, f"not enough room in the volume: it may have {self.limit} bytes")

    def wrote(self, volume: str, size: int, *, files: int = 1) -> None:
        """So many bytes and files more, as far as we know."""
        content = self.contents[volume]
        content.size, content.files = content.size + max(size, _BLOCK), content.files + files

    def _is_full(self, content: Contents, size: int) -> bool:
        return content.size + size > self.limit or content.files >= FILES

    def _dismiss(self, volume: str) -> None:
        worker = self._workers.pop(volume, None)
        if worker is not None:
            worker.close()

    async def _raze(self, volume: str) -> None:
        for last in (False,) * (_TRIES - 1) + (True,):
            await self.files(volume).ask("empty", patience=LONG_PATIENCE, path=b"/")
            try:
                (self.directory / volume).rmdir()
                break
            except OSError:
                if last:
                    raise
        self._dismiss(volume)

    def _save(self, by_id: dict[str, Volume]) -> None:
        keep(self._index, list[Volume], list(by_id.values()))
        self.by_id = by_id
