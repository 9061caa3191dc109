"""Reading what clients send, field by field: the wrong type, size or sign is their error 400."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import unquote, unquote_plus

from e2brun.server.http.messages import ApiError
from e2brun.values import is_list, is_table, is_text_list, is_text_table

DAY = 86_400  # seconds: the longest that E2B lets a sandbox live, too
_ENVIRONMENT_LIMIT = 96 * 1024  # bytes: it travels with every program that is started
_METADATA_LIMIT = 64 * 1024
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


class Fields:
    """The fields of a JSON object; null counts as absent, unknown ones are ignored."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body

    def __contains__(self, name: str) -> bool:
        return self.raw(name) is not None

    def raw(self, name: str) -> Any:
        return self._body.get(name)

    def bad(self, name: str, expected: str) -> Exception:
        """The error for a field of the wrong kind."""
        return bad(name, expected)

    def text(self, name: str) -> str:
        """A string; "" when absent."""
        value = self.raw(name)
        if value is not None and not isinstance(value, str):
            raise self.bad(name, "a string")
        return self.fit(name, value or "")

    def flag(self, name: str) -> bool | None:
        """A boolean; None when absent."""
        value = self.raw(name)
        if value is None or isinstance(value, bool):
            return value
        raise self.bad(name, "true or false")

    def integer(self, name: str, default: int, *, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad(name, "a whole number")
        return _bounded(name, value, lowest, highest)

    def timeout(self, default: int, *, lowest: int = 0) -> int:
        """How many seconds a sandbox is to live."""
        return self.integer("timeout", default, lowest=lowest, highest=DAY)

    def object(self, name: str) -> Self | None:
        """An object; None when absent."""
        value = self.raw(name)
        if value is None:
            return None
        if not is_table(value):
            raise self.bad(name, "an object")
        return type(self)(value)

    def items(self, name: str) -> list[Any] | None:
        """A list of anything; None when absent."""
        value = self.raw(name)
        if value is None or is_list(value):
            return value
        raise self.bad(name, "a list")

    def texts(self, name: str) -> list[str] | None:
        """A list of strings; None when absent."""
        value = self.items(name)
        if value is None:
            return None
        if not is_text_list(value):
            raise self.bad(name, "a list of strings")
        return [self.fit(name, text) for text in value]

    def fit(self, name: str, text: str) -> str:
        """`text`, if it is fit to be kept."""
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape
            raise self.bad(name, "valid Unicode") from None
        return text

    def environment(self) -> dict[str, str]:
        """`envVars`: what execve(2) takes."""
        found = self._pairs("envVars", _ENVIRONMENT_LIMIT)
        for key, value in found.items():
            if not key or "=" in key or "\0" in key or "\0" in value:
                raise ApiError(400, f"envVars: {key!r} cannot be an environment variable")
        return found

    def metadata(self) -> dict[str, str]:
        return self._pairs("metadata", _METADATA_LIMIT)

    def text_map(
        self, name: str, expected: str = "an object whose values are strings"
    ) -> dict[str, str]:
        """An object of strings; {} when absent."""
        found = self.raw(name)
        if found is None:
            return {}
        if not is_text_table(found):
            raise self.bad(name, expected)
        return {self.fit(name, key): self.fit(name, text) for key, text in found.items()}

    def _pairs(self, name: str, limit: int) -> dict[str, str]:
        found = self.text_map(name)
        if sum(len(text.encode()) for pair in found.items() for text in pair) > limit:
            raise ApiError(400, f"{name} is longer than {limit} bytes")
        return found


def bad(name: str, expected: str) -> ApiError:
    """The error for a field or parameter of the wrong kind."""
    return ApiError(400, f"{name} must be {expected}")


def number(query: Mapping[str, str], name: str, *, lowest: int, highest: int) -> int | None:
    """A whole number in the query; None when absent or empty."""
    text = query.get(name, "")
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise bad(name, "a whole number")
    return _bounded(name, int(text), lowest, highest)


def metadata_filter(text: str) -> dict[str, str]:
    """The `metadata` parameter of a list: quoted pairs in a form string, encoded once more."""
    pairs: dict[str, str] = {}
    for part in unquote_plus(text).split("&"):
        if part:
            key, _, value = part.partition("=")
            pairs[unquote_plus(key)] = unquote_plus(value)
    return pairs


def segments(raw_path: str) -> tuple[str, ...]:
    """The decoded segments of a path; an escaped slash is part of its segment."""
    return tuple(unquote(part) for part in raw_path.partition("?")[0].lstrip("/").split("/"))


def _bounded(name: str, value: int, lowest: int, highest: int) -> int:
    if not lowest <= value <= highest:
        raise bad(name, f"from {lowest} to {highest}")
    return value
