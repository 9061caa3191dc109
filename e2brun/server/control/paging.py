"""Pages of a list that changes between two requests: a page begins after the last item seen."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from e2brun.server.control.objects import Wire
from e2brun.server.http.fields import number
from e2brun.server.http.messages import ApiError, Response, json_response

Item = TypeVar("Item")
_TOKEN = re.compile(r"([0-9]{1,19})\|(.{1,300})", re.ASCII)


def page(
    found: Iterable[tuple[int, str, Item]],
    query: Mapping[str, str],
    wire: Callable[[Item], Wire],
    *,
    ascending: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Those items of a list that the query asks for, by time and then id (equal times are usual),
    and in the headers where the next ones begin. Raises ApiError 400."""
    limit = number(query, "limit", lowest=1, highest=100) or 100
    rest = sorted(found, key=lambda entry: entry[:2], reverse=not ascending)
    if token := query.get("nextToken", ""):
        last = _position(token)
        rest = [one for one in rest if (one[:2] > last if ascending else one[:2] < last)]
    told = dict(headers or {})
    if len(rest) > limit:
        when, name, _ = rest[limit - 1]
        told["x-next-token"] = base64.urlsafe_b64encode(f"{when}|{name}".encode()).decode()
    return json_response([wire(item) for _, _, item in rest[:limit]], headers=told)


def _position(token: str) -> tuple[int, str]:
    try:
        text = base64.urlsafe_b64decode(token.encode("ascii")).decode("ascii")
    except (ValueError, binascii.Error):
        text = ""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise ApiError(400, "nextToken is not one that this service gave")
    return int(match[1]), match[2]
