"""/volumecontent/{id}: what is in a volume, for whoever has its token (E2B_PROTOCOL 2).

E2B has it at an address of its own (E2B_VOLUME_API_URL); here it is this service's. A path begins
at the volume, also one without a slash. What E2B's SDKs look for: 404 for what is not there, and
409 for what is, unless `force` is given.
"""

from __future__ import annotations

import errno
import hmac
import os
import posixpath
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from e2brun.errors import SandboxError
from e2brun.sandbox.local.host.file_worker import INLINE_LIMIT, LONG_PATIENCE, FileTrouble
from e2brun.server.control.objects import timestamp
from e2brun.server.envd import downloads, paths
from e2brun.server.envd.entries import items
from e2brun.server.envd.uploads import Upload
from e2brun.server.http.bodies import decoded, hear_out
from e2brun.server.http.fields import Fields, number, segments
from e2brun.server.http.messages import ApiError, Refused, Request, Response, Stream
from e2brun.server.http.messages import json_response as told
from e2brun.server.sandboxes.registry import Registry
from e2brun.server.sandboxes.volumes import Volume

_KINDS = {"f": "file", "d": "directory", "l": "symlink"}
_TYPES = (str, str, int, int, int, int, int, int, int)
_LAST_SECOND = 253402300799  # of the year 9999
_MOST = {"uid": 2**32 - 2, "gid": 2**32 - 2, "mode": 0o7777}
_DEEPEST = 1000
_LOOK = 8 * 1024 * 1024  # bytes of an upload, between looks whether there is room
_STATUS = {
    errno.ENOENT: 404, errno.ENOTDIR: 404, errno.ELOOP: 404, errno.ENXIO: 404, errno.EISDIR: 404,
    errno.EEXIST: 409, errno.ENOTEMPTY: 409, errno.EBUSY: 409,
    errno.ENOSPC: 507, errno.EDQUOT: 507, errno.EFBIG: 507,
    errno.EINVAL: 400, errno.ENAMETOOLONG: 400, errno.ENOTSUP: 400,
    errno.EACCES: 403, errno.EPERM: 403,
}  # fmt: skip


async def handle(request: Request, registry: Registry) -> Response | Stream:
    """Answer one request. Raises ApiError."""
    match segments(request.raw_path):
        case (_, volume_id, what) if what in _METHODS:
            volume = registry.volumes.find(volume_id)
        case _:
            raise Refused(404, "there is no such endpoint")
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(given.encode("latin-1", "replace"), volume.token.encode()):
        raise Refused(401, "the token of the volume is missing or wrong")
    method = _METHODS[what].get(request.method)
    if method is None:
        raise Refused(405, "method not allowed", allow=", ".join(sorted(_METHODS[what])))
    asked = _Asked(request, registry, volume)
    try:
        return await method(asked)
    except FileTrouble as trouble:
        if volume.id not in registry.volumes.by_id:  # meanwhile
            raise ApiError(404, "the volume was destroyed") from None
        message = f"{paths.shown(asked.path)}: {trouble.text}"
        raise Refused(_STATUS.get(trouble.errno, 500), message) from None


class _Asked:
    """One request, and where it leads."""

    def __init__(self, request: Request, registry: Registry, volume: Volume) -> None:
        """Raises ApiError."""
        self.request, self.query = request, request.query
        self._totals, self.volumes, self.id = registry.totals, registry.volumes, volume.id
        self.files = self.volumes.files(volume.id)
        path = self.query.get("path", "")
        if not path or "\0" in path:
            raise Refused(400, "the path query parameter is required")
        self.path = posixpath.normpath(f"/{path.lstrip('/')}")
        try:
            self.raw = os.fsencode(self.path)
        except UnicodeEncodeError:
            raise Refused(400, "the path is not valid Unicode") from None

    @property
    def force(self) -> bool:
        """Replace what is there; make what is missing above."""
        return self.query.get("force", "").lower() in ("true", "1")

    def numbers(self) -> dict[str, int]:
        """uid, gid and mode in the query, -1 for what is not."""
        found = {
            name: number(self.query, name, lowest=0, highest=most) for name, most in _MOST.items()
        }
        return {name: -1 if value is None else value for name, value in found.items()}

    async def make_room(self, size: int) -> None:
        """For so many bytes. Raises ApiError 507."""
        if why := self._totals.no_room(size):
            raise Refused(507, why)
        await self.volumes.make_room(self.id, size)

    async def entry(self) -> dict[str, Any]:
        """What is at its path. Raises FileTrouble."""
        return _entry((await self.files.ask("facts", path=self.raw)).value)

    async def found(self) -> dict[str, Any] | None:
        """The same; None where nothing is. Raises FileTrouble."""
        try:
            return await self.entry()
        except FileTrouble as trouble:
            if trouble.errno != errno.ENOENT:
                raise
            return None

    async def owned(self, wanted: dict[str, int]) -> dict[str, Any]:
        """The same, once that is as `wanted` (see `numbers`). Raises FileTrouble."""
        if max(wanted.values()) < 0:
            return await self.entry()
        owner = wanted["uid"], wanted["gid"]
        answer = await self.files.ask("own", path=self.raw, mode=wanted["mode"], owner=owner)
        return _entry(answer.value)


async def _show(asked: _Asked) -> Response:
    return told(await asked.entry())


async def _change(asked: _Asked) -> Response:
    fields = Fields(await asked.request.json())
    wanted = {
        name: fields.integer(name, -1, lowest=0, highest=most) for name, most in _MOST.items()
    }
    return told(await asked.owned(wanted))


async def _remove(asked: _Asked) -> Response:
    await asked.entry()  # or nobody is told that it was not there
    if asked.path == "/":
        raise Refused(404, "the volume itself goes by DELETE /volumes")
    await asked.files.ask("remove", patience=LONG_PATIENCE, path=asked.raw)
    return Response(204)


async def _list(asked: _Asked) -> Response:
    depth = number(asked.query, "depth", lowest=1, highest=_DEEPEST) or 1
    answer = await asked.files.ask("entries", path=asked.raw, depth=depth)
    return told([_entry(raw) for raw in items(answer.value)])


async def _make(asked: _Asked) -> Response:
    wanted = asked.numbers()
    try:
        found = await asked.found()
    except FileTrouble as trouble:  # below a file
        raise FileTrouble(
            errno.EEXIST if trouble.errno == errno.ENOTDIR else trouble.errno
        ) from None
    if found is not None:
        if not asked.force or found["type"] != "directory":
            raise FileTrouble(errno.EEXIST)
        return told(await asked.owned(wanted), status=201)
    await asked.make_room(0)
    await asked.files.ask("make", path=asked.raw, parents=asked.force)
    asked.volumes.wrote(asked.id, 0)
    return told(await asked.owned(wanted), status=201)


async def _read(asked: _Asked) -> Response | Stream:
    return await downloads.answer(asked.files, asked.path, asked.request.headers, with_body=True)


async def _write(asked: _Asked) -> Response:
    wanted = asked.numbers()
    pieces = decoded(asked.request)
    try:
        await _check_target(asked)
        await _take(asked, pieces)
    except (ApiError, FileTrouble):
        await hear_out(asked.request)
        raise
    return told(await asked.owned(wanted), status=201)


async def _check_target(asked: _Asked) -> None:
    above = os.fsencode(posixpath.dirname(asked.path))
    if _entry((await asked.files.ask("facts", path=above)).value)["type"] == "file":
        raise FileTrouble(errno.ENOTDIR)
    found = await asked.found()
    if found is not None and (not asked.force or found["type"] == "directory"):
        raise FileTrouble(errno.EEXIST)


async def _take(asked: _Asked, pieces: Any) -> None:
    upload = Upload(asked.files, asked.path, {})
    more, bound = 0, INLINE_LIMIT
    try:
        async for piece in pieces:
            more += len(piece)
            if more > bound:
                await asked.make_room(more)
                asked.volumes.wrote(asked.id, more, files=0)  # others who write are to know
                more, bound = 0, _LOOK
            await upload.feed(piece)
        await asked.make_room(more)
        await upload.finish()
    except BaseException as error:
        upload.abandon()
        if isinstance(error, ApiError) and upload.begun:
            with suppress(FileTrouble, SandboxError):  # what there was no room for
                await asked.files.ask("remove", path=asked.raw)
        raise
    asked.volumes.wrote(asked.id, more)


_METHODS: dict[str, dict[str, Callable[[_Asked], Awaitable[Response | Stream]]]] = {
    "path": {"GET": _show, "PATCH": _change, "DELETE": _remove},
    "dir": {"GET": _list, "POST": _make},
    "file": {"GET": _read, "PUT": _write},
}


def _entry(raw: object) -> dict[str, Any]:
    """As E2B's VolumeEntryStat. Raises FileTrouble for what is no description."""
    fields: list[Any] = items(raw)
    if len(fields) != 10 or tuple(map(type, fields[:9])) != _TYPES:
        raise FileTrouble(errno.EPROTO)
    path, kind, size, mode, uid, gid, *times, target = fields
    found = {
        "name": paths.name(path),
        "type": _KINDS.get(kind, "unknown"),
        "path": path,
        "size": size,
        "mode": mode,
        "uid": uid,
        "gid": gid,
    }
    for name, when in zip(("atime", "mtime", "ctime"), times, strict=True):
        found[name] = timestamp(min(max(when / 1e9, 0), _LAST_SECOND))
    if isinstance(target, str):
        found["target"] = target
    return found
