"""Watched directories: inotify descriptors that the file worker made and the host reads.

Reading them here means that whoever asks sees all that was acknowledged before, and that a
watch outlives the worker. New directories of a recursive watch are added by the worker.
"""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
import secrets
import struct
from collections.abc import Callable, Iterator, Sized
from contextlib import suppress
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

from e2brun.errors import SandboxLost
from e2brun.sandbox.local.host.descriptors import Watched, read_shared
from e2brun.sandbox.local.host.file_worker import FileTrouble, FileWorker, close_all
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.host.streams import in_pipe
from e2brun.server.envd import paths
from e2brun.server.envd.entries import Entry, entry_info, items
from e2brun.server.envd.watch_events import Events, Places, Told

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_IGNORED, _ISDIR = 0x8000, 0x40000000
_HEAD = struct.Struct("@iIII")
_TYPES = (
    (_CREATE | _MOVED_TO, "EVENT_TYPE_CREATE"),
    (_MODIFY, "EVENT_TYPE_WRITE"),
    (_DELETE | _DELETE_SELF, "EVENT_TYPE_REMOVE"),
    (_MOVED_FROM | _MOVE_SELF, "EVENT_TYPE_RENAME"),
    (_ATTRIB, "EVENT_TYPE_CHMOD"),
)
_WITH_ENTRY = {"EVENT_TYPE_CREATE", "EVENT_TYPE_WRITE", "EVENT_TYPE_CHMOD"}
_PIECE = 16 * 1024
_READ_SECONDS = 5.0  # for what the kernel has said is there
_PAUSE = 0.005  # seconds: a storm of events inside must not be one out here
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be watched: `path` absolute, a directory."""

    path: str
    recursive: bool = False
    include_entry: bool = False


@dataclass(slots=True, eq=False)
class Watcher:
    """One watched directory and what has happened in it."""

    wanted: Wanted
    descriptor: int
    _files: FileWorker
    _lose: Callable[[], None]  # the sandbox has shown that it is in hostile hands
    _sharers: InitVar[Sized]
    _directories: Places = field(init=False)
    _told: Told = field(init=False)
    _events: Events = field(init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _taken: asyncio.Event = field(default_factory=asyncio.Event)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _follower: asyncio.Task[None] | None = None
    _closed: bool = False

    def __post_init__(self, sharers: Sized) -> None:
        self._directories, self._told = Places(sharers), Told(sharers)
        self._events = Events(sharers)

    def start(self, watched: object) -> None:
        """Go on from what the worker has watched. Raises FileTrouble."""
        self._learn(b"", watched)
        self._follower = asyncio.create_task(self._follow())
        # Only then has the loop let go of it; and a task that never began has no `finally`.
        self._follower.add_done_callback(self._let_go)

    async def drain(self) -> None:
        """Take in all that has happened up to now."""
        async with self._reading:
            if self._closed:
                return
            while not self._closed and not self._events.full and in_pipe(self.descriptor):
                await self._take_in()

    async def news(self) -> None:
        """Returns when there are events to collect."""
        await self._news.wait()

    async def collected(self) -> list[dict[str, Any]]:
        """The events that have been taken in, which are then forgotten."""
        events = self._events.take()
        self._news.clear()
        self._taken.set()
        found: list[dict[str, Any]] = [
            {"name": paths.shown(os.fsdecode(name)), "type": kind} for name, kind in events
        ]
        if self.wanted.include_entry:
            known = await self._entries({name for name, kind in events if kind in _WITH_ENTRY})
            for event, (name, kind) in zip(found, events, strict=True):
                if kind in _WITH_ENTRY and name in known:
                    event["entry"] = known[name]
        return found

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._follower is not None:
            self._follower.cancel()
        else:
            os.close(self.descriptor)

    def _let_go(self, _: object) -> None:
        self._closed = True
        os.close(self.descriptor)

    async def _follow(self) -> None:
        watched = Watched(self.descriptor)
        try:
            while True:
                await watched.readable()
                async with self._reading:
                    await self._take_in()
                while self._events.full:
                    self._taken.clear()
                    await self._taken.wait()
                await asyncio.sleep(_PAUSE)
        except SandboxLost:
            return

    async def _take_in(self) -> None:
        try:
            data = await read_shared(self.descriptor, _PIECE, _READ_SECONDS)
        except BlockingIOError:
            return
        except TimeoutError:  # somebody inside has read it first, and made ours wait
            self._lose()
            raise SandboxLost("the sandbox's agent sent a malformed report") from None
        for watch, mask, name in _parsed(data):
            directory = self._directories.get(watch)
            if mask & _IGNORED:
                self._directories.pop(watch)
            elif directory is not None:
                await self._note(directory, mask, name)
        if self._events:
            self._news.set()

    async def _note(self, directory: bytes, mask: int, name: bytes) -> None:
        if not name and directory:
            return  # of a directory below, its parent tells
        path = posixpath.join(directory, name) if name else b"."
        kind = next((kind for bits, kind in _TYPES if mask & bits), None)
        if kind == "EVENT_TYPE_CREATE" and path in self._told:
            self._told.pop(path)
            return
        if mask & (_DELETE | _MOVED_FROM):
            self._told.pop(path)
        if kind is not None:
            self._events.add(path, kind)
        if self.wanted.recursive and name and mask & _ISDIR:
            if mask & _MOVED_FROM:
                self._directories.pop_below(path)
                self._told.pop_below(path)
            if mask & (_CREATE | _MOVED_TO) and not self._closed:
                await self._add(path, tell=bool(mask & _CREATE))

    async def _add(self, path: bytes, *, tell: bool) -> None:
        """Watch a directory that has come, and tell what was made in it before it was watched."""
        top = posixpath.join(os.fsencode(self.wanted.path), path)
        mine = os.dup(self.descriptor)  # the watch may be closed before this one is sent
        try:
            answer = await self._files.ask("watch", [mine], path=top, recursive=True, follow=False)
            found = self._learn(path, answer.value)
        except FileTrouble:
            return  # gone since, or more than can be watched
        finally:
            os.close(mine)
        for inside, is_directory, size in found if tell else []:
            self._told.add(inside)
            self._events.add(inside, "EVENT_TYPE_CREATE")
            if size and not is_directory:
                self._events.add(inside, "EVENT_TYPE_WRITE")

    def _learn(self, below: bytes, watched: object) -> list[tuple[bytes, bool, int]]:
        """Note the watches in the worker's list; the entries in it. Raises FileTrouble."""
        found: list[tuple[bytes, bool, int]] = []
        for watch, name, is_directory, size in _checked(watched):
            path = posixpath.join(below, name) if name and below else name or below
            if is_directory is None:
                self._directories.put(watch, path)
            else:
                found.append((path, is_directory, size))
        return found

    async def _entries(self, names: set[bytes]) -> dict[bytes, Entry]:
        known: dict[bytes, Entry] = {}
        ordered, top = sorted(names), os.fsencode(self.wanted.path)
        for at in range(0, len(ordered), _BATCH):
            batch = ordered[at : at + _BATCH]
            files = [top if name == b"." else posixpath.join(top, name) for name in batch]
            with suppress(FileTrouble):
                answer = await self._files.ask("stats", paths=files)
                pairs = zip(batch, items(answer.value), strict=False)
                known |= {name: entry_info(entry) for name, entry in pairs if entry}
        return known


class Watchers:
    """Those of one sandbox."""

    def __init__(self, live: RunningSandbox) -> None:
        self._files, self._lose = live.part(FileWorker), live.kill
        self._open: set[Watcher] = set()
        self.named: dict[str, Watcher] = {}  # by the ids that clients have

    async def open(self, wanted: Wanted) -> Watcher:
        """Start watching; it counts from now on. Raises FileTrouble, SandboxLost."""
        path = os.fsencode(wanted.path)
        answer = await self._files.ask("watch", path=path, recursive=wanted.recursive, follow=True)
        if not _is_inotify(answer.descriptors):
            close_all(answer.descriptors)
            raise FileTrouble(errno.EPROTO)
        watcher = Watcher(wanted, answer.descriptors[0], self._files, self._lose, self._open)
        self._open.add(watcher)
        try:
            watcher.start(answer.value)
        except FileTrouble:
            self.shut(watcher)
            raise
        return watcher

    def name(self, watcher: Watcher) -> str:
        """An id to ask for it by."""
        identifier = "w" + secrets.token_hex(8)
        self.named[identifier] = watcher
        return identifier

    def remove(self, identifier: str) -> bool:
        """Stop watching; whether there was such a one."""
        watcher = self.named.pop(identifier, None)
        if watcher is not None:
            self.shut(watcher)
        return watcher is not None

    def shut(self, watcher: Watcher) -> None:
        self._open.discard(watcher)
        watcher.close()

    async def settle(self) -> None:
        """After a change that made directories: watch them before its caller goes on."""
        for watcher in [one for one in self._open if one.wanted.recursive]:
            await watcher.drain()

    def close(self) -> None:
        """The sandbox is gone."""
        for watcher in list(self._open):
            self.shut(watcher)


def _parsed(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _HEAD.size <= len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield watch, mask, data[at : at + length].rstrip(b"\0")
        at += length


def _checked(watched: object) -> Iterator[tuple[int, bytes, bool | None, int]]:
    for item in items(watched):
        match item:
            case [int(watch), str(name), bool() | None as is_directory, int(size)]:
                yield watch, _encoded(name), is_directory, size
            case _:
                raise FileTrouble(errno.EPROTO)


def _encoded(name: str) -> bytes:
    try:
        return name.encode("latin-1")  # one character a byte
    except UnicodeEncodeError:
        raise FileTrouble(errno.EPROTO) from None


def _is_inotify(descriptors: list[int]) -> bool:
    if len(descriptors) != 1:
        return False
    kind = Path(f"/proc/self/fd/{descriptors[0]}").readlink()
    return str(kind) == "anon_inode:inotify"
