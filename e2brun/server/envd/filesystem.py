"""The service filesystem.Filesystem (E2B_PROTOCOL 5)."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from e2brun.sandbox.local.host.file_worker import LONG_PATIENCE, FileTrouble, FileWorker
from e2brun.server.envd import paths
from e2brun.server.envd.connect import Wire, acting_user, keepalive, server_stream, unary
from e2brun.server.envd.entries import entry_info, items
from e2brun.server.envd.protojson import Message, RpcError
from e2brun.server.envd.watchers import Wanted, Watcher, Watchers
from e2brun.server.http.messages import ApiError, Request, Response, Stream
from e2brun.server.sandboxes.records import Record

_PREFIX = "/filesystem.Filesystem/"
_CODES = {
    errno.ENOENT: "not_found", errno.EEXIST: "already_exists",
    errno.ENOTDIR: "invalid_argument", errno.EINVAL: "invalid_argument",
    errno.ENAMETOOLONG: "invalid_argument", errno.ELOOP: "invalid_argument",
    errno.EACCES: "permission_denied", errno.EPERM: "permission_denied",
    errno.EROFS: "permission_denied", errno.EISDIR: "failed_precondition",
    errno.ENOTEMPTY: "failed_precondition", errno.EBUSY: "failed_precondition",
    errno.EMFILE: "resource_exhausted", errno.ENFILE: "resource_exhausted",
}  # fmt: skip


async def handle(request: Request, record: Record) -> Response | Stream:
    """Answer one call. Raises ApiError."""
    service = _Service(request, record)
    method = request.raw_path.removeprefix(_PREFIX)
    if method == "WatchDir":
        return await server_stream(request, service.watch_dir)
    handler = service.unary_methods().get(method)
    if handler is None:
        raise ApiError(404, f"path '{request.raw_path[:256]}' not found")
    return await unary(request, handler)


class _Service:
    """The methods, for one call of one user."""

    def __init__(self, request: Request, record: Record) -> None:
        self._request, self._live = request, record.live
        self._files = self._live.part(FileWorker)
        self._watchers = self._live.part(Watchers)

    def unary_methods(self) -> dict[str, Callable[[Message], Awaitable[Wire]]]:
        """By the names they have in URLs."""
        return {
            "Stat": self.stat,
            "ListDir": self.list_dir,
            "MakeDir": self.make_dir,
            "Move": self.move,
            "Remove": self.remove,
            "CreateWatcher": self.create_watcher,
            "GetWatcherEvents": self.get_watcher_events,
            "RemoveWatcher": self.remove_watcher,
        }

    async def stat(self, message: Message) -> Wire:
        path = self._path(message, "path")
        # A path through a file leads nowhere either.
        async with _translated("stat", path, {errno.ENOTDIR: "not_found"}):
            answer = await self._files.ask("stat", path=os.fsencode(path))
            return {"entry": entry_info(answer.value)}

    async def list_dir(self, message: Message) -> Wire:
        path = self._path(message, "path")
        depth = max(1, message.number("depth"))
        async with _translated("list", path, {}):
            answer = await self._files.ask("list", path=os.fsencode(path), depth=depth)
            return {"entries": [entry_info(raw) for raw in items(answer.value)]}

    async def make_dir(self, message: Message) -> Wire:
        path = self._path(message, "path")
        async with _translated("make directory", path, {}):
            answer = await self._files.ask("mkdir", path=os.fsencode(path))
            await self._watchers.settle()
            return {"entry": entry_info(answer.value)}

    async def move(self, message: Message) -> Wire:
        source, target = self._path(message, "source"), self._path(message, "destination")
        old, new = os.fsencode(source), os.fsencode(target)
        async with _translated("move", source, {}):
            try:
                answer = await self._files.ask("rename", source=old, target=new)
            except FileTrouble as trouble:
                if trouble.errno != errno.EXDEV:
                    raise
                answer = await self._files.ask(
                    "move", patience=LONG_PATIENCE, source=old, target=new
                )
            await self._watchers.settle()
            return {"entry": entry_info(answer.value)}

    async def remove(self, message: Message) -> Wire:
        path = self._path(message, "path")
        async with _translated("remove", path, {}):
            await self._files.ask("remove", patience=LONG_PATIENCE, path=os.fsencode(path))
            return {}

    async def create_watcher(self, message: Message) -> Wire:
        watcher = await self._watcher(message)
        return {"watcherId": self._watchers.name(watcher)}

    async def get_watcher_events(self, message: Message) -> Wire:
        """All up to now; the queue is read here, so that what was acknowledged is in it."""
        watcher = self._watchers.named.get(message.text("watcherId"))
        if watcher is None:
            raise _no_watcher(message)
        await watcher.drain()
        return {"events": await watcher.collected()}

    async def remove_watcher(self, message: Message) -> Wire:
        if not self._watchers.remove(message.text("watcherId")):
            raise _no_watcher(message)
        return {}

    async def watch_dir(self, message: Message) -> AsyncGenerator[Wire]:
        """Events as they come, until the client goes."""
        watcher = await self._watcher(message)
        interval = keepalive(self._request)
        try:
            yield {"start": {}}
            while True:
                try:
                    async with asyncio.timeout(interval):
                        await watcher.news()
                except TimeoutError:
                    yield {"keepalive": {}}
                    continue
                for event in await watcher.collected():
                    yield {"filesystem": event}
        finally:
            self._watchers.shut(watcher)

    async def _watcher(self, message: Message) -> Watcher:
        path = self._path(message, "path")
        wanted = Wanted(
            path, message.flag("recursive") or False, message.flag("includeEntry") or False
        )
        async with _translated("watch", path, {errno.ENOSPC: "resource_exhausted"}):
            return await self._watchers.open(wanted)

    def _path(self, message: Message, name: str) -> str:
        user = acting_user(self._request, self._live.user)
        try:
            return paths.resolve(message.text(name), user)
        except paths.BadPath as bad:
            raise RpcError("invalid_argument", str(bad)) from None


@asynccontextmanager
async def _translated(what: str, path: str, codes: dict[int, str]) -> AsyncGenerator[None]:
    try:
        yield
    except FileTrouble as trouble:
        code = codes.get(trouble.errno) or _CODES.get(trouble.errno, "internal")
        raise RpcError(code, f"{what} '{paths.shown(path)}': {trouble.text}") from None


def _no_watcher(message: Message) -> RpcError:
    return RpcError("not_found", f"watcher '{message.text('watcherId')}' not found")
