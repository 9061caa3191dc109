"""One file on its way out of a sandbox: whole or a range, as it is or compressed."""

from __future__ import annotations

import email.utils
import errno
import os
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from e2brun.errors import SandboxLost
from e2brun.sandbox.local.host.descriptors import read_all
from e2brun.sandbox.local.host.file_worker import PATIENCE, STUCK, FileTrouble, FileWorker
from e2brun.sandbox.local.host.streams import pipe
from e2brun.server.envd import paths
from e2brun.server.http.messages import ApiError, Response, Stream

_RANGE = re.compile(r"bytes=\s*+(\d*+)\s*+-\s*+(\d*+)\s*+", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Facts:
    """A file, and its content where that is at hand."""

    size: int
    modified: int  # nanoseconds
    content: bytes | None
    sized: bool  # False: only reading it to the end tells how long it is

    @property
    def tag(self) -> str:
        """Changes when the file does."""
        return f'"{self.modified:x}-{self.size:x}"'

    @property
    def date(self) -> str:
        """When it was changed last, as HTTP writes it."""
        seconds = min(max(self.modified // 1_000_000_000, 0), 253402300799)
        return email.utils.formatdate(seconds, usegmt=True)


async def facts(files: FileWorker, path: str) -> Facts:
    """Look at the file. Raises FileTrouble, SandboxLost."""
    answer = await files.ask("peek", path=os.fsencode(path))
    match answer.value:
        case [int(size), int(modified), bool(whole), bool(sized)] if (
            type(size) is int and 0 <= size < 2**63
        ):
            if whole and size != len(answer.payload):
                raise FileTrouble(errno.EPROTO)
            return Facts(size, modified, answer.payload if whole else None, sized)
        case _:
            raise FileTrouble(errno.EPROTO)


async def answer(
    files: FileWorker, path: str, headers: Mapping[str, str], *, with_body: bool
) -> Response | Stream:
    """The response to a GET, or a HEAD without its body. Raises ApiError, FileTrouble."""
    squeeze = _must_compress(headers.get("accept-encoding"))
    found = await facts(files, path)
    told = {
        "content-type": "application/octet-stream",
        "content-disposition": _disposition(path),
        "vary": "Accept-Encoding",
        "x-content-type-options": "nosniff",
        "last-modified": found.date,
    }
    if found.sized:
        told |= {"etag": found.tag, "accept-ranges": "bytes"}
        if _unchanged(headers, found):
            return Response(304, b"", told)
    part = _range(headers, found)
    status = 200
    offset, length = 0, found.size if found.sized else -1
    if part is not None:
        offset, length = part
        told["content-range"] = f"bytes {offset}-{offset + length - 1}/{found.size}"
        status = 206
    elif squeeze:
        told["content-encoding"] = "gzip"
        body = _compressed(_pieces(files, path, found, (0, -1)))
        return Stream(body, 200, told) if with_body else Response(200, b"", told)
    if length >= 0:
        told["content-length"] = str(length)
    if not with_body or found.content is not None:
        content = found.content if with_body and found.content is not None else b""
        return Response(status, content[offset : offset + max(length, 0)], told)
    return Stream(_pieces(files, path, found, (offset, length)), status, told)


async def _pieces(
    files: FileWorker, path: str, found: Facts, part: tuple[int, int]
) -> AsyncGenerator[bytes]:
    """The bytes, as fast as they are taken. Raises SandboxLost when not all of them come."""
    if found.content is not None:
        yield found.content
        return
    read, write = pipe()
    os.set_blocking(read, False)
    offset, length = part
    try:
        try:
            call = await files.begin(
                "pour", [write], path=os.fsencode(path), offset=offset, length=length
            )
        finally:
            os.close(write)
        try:
            poured = 0
            async for piece in read_all(read, STUCK):
                poured += len(piece)
                if poured > length >= 0:
                    break
                yield piece
            told = await files.outcome(call, PATIENCE)
        finally:
            call.close()
    except FileTrouble as trouble:
        raise SandboxLost(f"the file could not be read to its end: {trouble}") from None
    except TimeoutError:  # who reads it was stopped
        raise SandboxLost("the sandbox gave nothing of the file for a minute") from None
    finally:
        os.close(read)
    if told.value != [poured] or (length >= 0 and poured != length):
        raise SandboxLost("the file became shorter while it was read")


async def _compressed(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    squeeze = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        async for piece in pieces:
            if data := squeeze.compress(piece):
                yield data
        yield squeeze.flush()
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


def _must_compress(accepted: str | None) -> bool:
    """Whether only gzip will do: as it is, is best on a loopback. Raises ApiError 406."""
    weights: dict[str, bool] = {}
    for item in (accepted or "").split(","):
        name, *parameters = (word.strip().lower() for word in item.split(";"))
        refused = any(re.fullmatch(r"q\s*=\s*0(\.0*)?", word) for word in parameters)
        weights[name] = not refused
    others = weights.get("*", True)
    if weights.get("identity", others):
        return False
    if weights.get("gzip", "*" in weights and others):
        return True
    raise ApiError(406, "no acceptable encoding: identity and gzip are supported")


def _unchanged(headers: Mapping[str, str], found: Facts) -> bool:
    if (tags := headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or found.tag in [
            tag.strip().removeprefix("W/") for tag in tags.split(",")
        ]
    since = _date(headers.get("if-modified-since"))
    return since is not None and found.modified // 1_000_000_000 <= since


def _range(headers: Mapping[str, str], found: Facts) -> tuple[int, int] | None:
    """(offset, length) to send; None for all of it. Raises ApiError 416."""
    match = _RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or not found.sized or not any(match.groups()):
        return None
    condition = headers.get("if-range")
    if condition is not None and condition.strip() not in (found.tag, found.date):
        return None
    first, last = match[1][:18], match[2][:18]
    if not first:
        length = min(int(last), found.size)
        start = found.size - length
    else:
        start = int(first)
        if last and int(last) < start:
            return None
        length = min(int(last) if last else found.size, found.size - 1) - start + 1
    if length <= 0:
        unmet = {"content-range": f"bytes */{found.size}"}
        raise ApiError(416, "the range is not within the file", headers=unmet)
    return start, length


def _date(value: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp() if value else None
    except (ValueError, OverflowError):
        return None


def _disposition(path: str) -> str:
    name = paths.name(path)
    if _TOKEN.fullmatch(name):
        return f"inline; filename={name}"
    if name.isascii() and name.isprintable():
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'inline; filename="{escaped}"'
    return f"inline; filename*=utf-8''{quote(os.fsencode(name), safe='')}"
