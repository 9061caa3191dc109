"""multipart/form-data, piece by piece: heads and contents of parts as they come.

Names of files are whole paths, any bytes of them, and any number of parts may come: what
ready-made form parsers cut short.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from e2brun.server.http.messages import ApiError

_HEADERS = 16
_HEADER_BYTES = 16 * 1024  # a path has up to 4096 bytes, and escaped three times as many
_PARAMETER = re.compile(rb';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))', re.DOTALL)
_ESCAPED = re.compile(rb'\\([()<>@,;:\\"/\[\]?=])')  # before anything else a backslash is one


@dataclass(frozen=True, slots=True)
class Head:
    """A part begins."""

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """It is complete."""


async def parts(
    pieces: AsyncIterator[bytes], content_type: str
) -> AsyncGenerator[Head | Content | End]:
    """What a body holds. Raises ApiError 400, also for one that ends too early."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, MultipartState

    boundary = _parameters(content_type.encode("latin-1")).get("boundary")
    if not boundary:
        raise ApiError(400, "no multipart boundary in Content-Type")
    found: list[Head | Content | End] = []
    try:
        parser = MultipartParser(
            boundary, _callbacks(found), max_header_count=_HEADERS, max_header_size=_HEADER_BYTES
        )
        parser.logger.disabled = True  # who sent it is told what is wrong, and nobody else
        async for piece in pieces:
            parser.write(piece)
            for item in found:
                yield item
            found.clear()
    except FormParserError as error:
        raise ApiError(400, f"malformed multipart body: {error}") from None
    if parser.state != MultipartState.END:
        raise ApiError(400, "malformed multipart body: unexpected end")


def _callbacks(found: list[Head | Content | End]) -> Any:
    """For the parser: what it meets goes into `found`."""
    headers: dict[bytes, bytes] = {}
    current = [b"", b""]

    def field(data: bytes, start: int, end: int) -> None:
        current[0] += data[start:end]

    def value(data: bytes, start: int, end: int) -> None:
        current[1] += data[start:end]

    def header() -> None:
        headers[current[0].lower()] = current[1]
        current[:] = [b"", b""]

    def headed() -> None:
        found.append(_head(headers.get(b"content-disposition", b"")))

    def content(data: bytes, start: int, end: int) -> None:
        if start < end:
            found.append(Content(bytes(data[start:end])))

    return {
        "on_part_begin": headers.clear,
        "on_header_field": field,
        "on_header_value": value,
        "on_header_end": header,
        "on_headers_finished": headed,
        "on_part_data": content,
        "on_part_end": lambda: found.append(End()),
    }


def _head(disposition: bytes) -> Head:
    parameters = _parameters(disposition)
    filename = parameters.get("filename")
    extended = parameters.get("filename*")
    if filename is None and extended is not None and extended.count(b"'") >= 2:
        filename = unquote_to_bytes(extended.split(b"'", 2)[2])
    return Head(
        parameters.get("name", b"").decode("utf-8", "replace"),
        None if filename is None else filename.decode("utf-8", "surrogateescape"),
    )


def _parameters(header: bytes) -> dict[str, bytes]:
    return {
        name.decode("latin-1").lower(): _ESCAPED.sub(rb"\1", quoted) if quoted else bare
        for name, quoted, bare in _PARAMETER.findall(header)
    }
