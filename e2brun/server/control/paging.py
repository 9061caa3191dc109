"""Pages of a list that changes between two requests: a page begins after the last item seen."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from e2brun.server.http.messages import ApiError

Item = TypeVar("Item")
_TOKEN = re.compile(r"([0-9]{1,19})\|(.{1,300})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items, and the headers that tell where the next ones begin."""

    items: list[Item]
    headers: dict[str, str]


def page(
    ordered: Iterable[tuple[int, str, Item]], token: str, limit: int, *, descending: bool
) -> Page[Item]:
    """The items after `token`, of a list ordered by time and then id (equal times are usual)."""
    rest = list(ordered)
    if token:
        last = _position(token)
        if descending:
            rest = [entry for entry in rest if entry[:2] < last]
        else:
            rest = [entry for entry in rest if entry[:2] > last]
    headers: dict[str, str] = {}
    if len(rest) > limit:
        when, name, _ = rest[limit - 1]
        headers["x-next-token"] = base64.urlsafe_b64encode(f"{when}|{name}".encode()).decode()
    return Page([item for _, _, item in rest[:limit]], headers)


def _position(token: str) -> tuple[int, str]:
    try:
        text = base64.urlsafe_b64decode(token.encode("ascii")).decode("ascii")
    except (ValueError, binascii.Error):
        text = ""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise ApiError(400, "nextToken is not one that this service gave")
    return int(match[1]), match[2]
