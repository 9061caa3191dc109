"""/files of port 49983: contents of files up and down (E2B_PROTOCOL 4)."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

from e2brun.sandbox.local.host.file_worker import FileTrouble, FileWorker
from e2brun.sandbox.local.template_setup import USERS
from e2brun.server.admission import check_signature
from e2brun.server.envd import downloads, paths
from e2brun.server.envd.uploads import Upload, metadata_of
from e2brun.server.envd.watchers import Watchers
from e2brun.server.http import multipart
from e2brun.server.http.bodies import decoded, hear_out
from e2brun.server.http.messages import ApiError, Request, Response, Stream, json_response
from e2brun.server.sandboxes.records import Record

_NOT_ENOUGH = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_SUCH = {
    errno.EISDIR, errno.EINVAL, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO,
    errno.EEXIST, errno.ENODEV, errno.ETXTBSY, errno.ENOENT,
}  # fmt: skip
_ONE = 500  # bytes that a file takes here beside its path, which is there and in the answer
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


async def handle(request: Request, record: Record) -> Response | Stream:
    """Answer one request. Raises ApiError."""
    if request.method in ("GET", "HEAD"):
        check_signature(request, record, "read")
        return await _download(request, record)
    if request.method == "POST":
        check_signature(request, record, "write")
        return await _upload(request, record)
    raise ApiError(405, "method not allowed", headers={"allow": "GET, HEAD, POST"})


async def _download(request: Request, record: Record) -> Response | Stream:
    path = _path(request, record, request.query.get("path", ""))
    with_body = request.method == "GET"
    try:
        return await downloads.answer(
            record.live.part(FileWorker), path, request.headers, with_body=with_body
        )
    except FileTrouble as trouble:
        shown = paths.shown(path)
        if trouble.errno in (errno.ENOENT, errno.ENOTDIR):
            raise ApiError(404, f"path '{shown}' does not exist") from None
        if trouble.errno == errno.EISDIR:
            raise ApiError(400, f"path '{shown}' is a directory") from None
        raise _refusal(trouble, f"could not read '{shown}'") from None


async def _upload(request: Request, record: Record) -> Response:
    try:
        return json_response(await _Uploads(request, record).take())
    except ApiError:
        await hear_out(request)
        raise


class _Uploads:
    """What one request puts into files."""

    def __init__(self, request: Request, record: Record) -> None:
        self._request, self._record = request, record
        self._files = record.live.part(FileWorker)
        self._watchers = record.live.part(Watchers)
        self._metadata = metadata_of(request.headers)
        self._path = request.query.get("path")
        self._told: list[dict[str, object]] = []
        self._taken: set[str] = set()

    async def take(self) -> list[dict[str, object]]:
        """Store everything; what the client is told."""
        content_type = self._request.headers.get("content-type", "")
        kind = content_type.partition(";")[0].strip().lower()
        pieces = decoded(self._request)
        try:
            if kind == "multipart/form-data":
                await self._form(pieces, content_type)
            elif kind == "application/octet-stream":
                await self._raw(pieces)
            else:
                raise ApiError(400, f"unsupported content type '{kind[:100]}'")
        finally:
            await self._watchers.settle()
        return self._told

    async def _raw(self, pieces: AsyncIterator[bytes]) -> None:
        if not self._path:
            raise ApiError(400, "the path query parameter is required")
        upload = self._begin(self._path)
        with _kept(upload):
            async for piece in pieces:
                await upload.feed(piece)
            self._told.append(await upload.finish())

    async def _form(self, pieces: AsyncIterator[bytes], content_type: str) -> None:
        upload: Upload | None = None
        try:
            async for item in multipart.parts(pieces, content_type):
                match item:
                    case multipart.Head():
                        upload = self._part(item)
                    case multipart.Content():
                        if upload is not None:
                            with _kept(upload):
                                await upload.feed(item.data)
                    case multipart.End():
                        if upload is not None:
                            with _kept(upload):
                                self._told.append(await upload.finish())
                            upload = None
        finally:
            if upload is not None:
                upload.abandon()

    def _part(self, head: multipart.Head) -> Upload | None:
        if head.name != "file":
            return None
        path = self._path or head.filename
        if not path:
            raise ApiError(400, "a file without a name: give it one, or the path parameter")
        return self._begin(path)

    def _begin(self, path: str) -> Upload:
        resolved = _path(self._request, self._record, path)
        if resolved in self._taken:
            shown = paths.shown(resolved)
            raise ApiError(400, f"cannot upload several files to the same path '{shown}'")
        self._request.keep(_ONE + 3 * len(resolved))
        self._taken.add(resolved)
        return Upload(self._files, resolved, self._metadata)


@contextmanager
def _kept(upload: Upload) -> Generator[None]:
    """Lets go of an upload that fails, and says why in the client's terms."""
    try:
        yield
    except BaseException as error:
        upload.abandon()
        if not isinstance(error, FileTrouble):
            raise
        what = f"could not write '{paths.shown(upload.path)}'"
        if error.errno == errno.EISDIR:
            what = f"path '{paths.shown(upload.path)}' is a directory"
        raise _refusal(error, what) from None


def _path(request: Request, record: Record, path: str) -> str:
    user = request.query.get("username") or record.live.user
    if user not in USERS:
        raise ApiError(401, f"invalid username: '{paths.shown(user[:64])}'")
    try:
        return paths.resolve(path, user)
    except paths.BadPath as bad:
        raise ApiError(400, str(bad)) from None


def _refusal(trouble: FileTrouble, what: str) -> ApiError:
    if trouble.errno in _NOT_ENOUGH:
        return ApiError(507, f"not enough disk space: {what}")
    status = 400 if trouble.errno in _NOT_SUCH else 403 if trouble.errno in _FORBIDDEN else 500
    return ApiError(status, f"{what}: {trouble.text}")
