"""Fields of proto-JSON messages, read as proto3 reads them: absent and null are the default, a
field may carry its camelCase or its snake_case name, unknown ones do not matter."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from e2brun.values import is_list, is_table, is_text_list, is_text_table

Fields = Mapping[str, Any]

_CAPITAL = re.compile(r"[A-Z]")


class Malformed(Exception):
    """A field has the wrong type."""


def value(message: Fields, name: str) -> Any:
    """The field `name` (camelCase); None when it is not set."""
    found = message.get(name)
    if found is None:
        found = message.get(_CAPITAL.sub(lambda capital: "_" + capital[0].lower(), name))
    return found


def struct(message: Fields, name: str) -> dict[str, Any] | None:
    """A message within the message; None when it is not set."""
    found = value(message, name)
    if found is not None and not is_table(found):
        raise Malformed(f"{name} must be an object")
    return found


def text(message: Fields, name: str) -> str:
    """A string, default ""."""
    found = value(message, name)
    if found is not None and not isinstance(found, str):
        raise Malformed(f"{name} must be a string")
    return _clean(name, found or "")


def integer(message: Fields, name: str) -> int:
    """An integer (64-bit ones travel as strings), default 0."""
    found = value(message, name)
    if found is None:
        return 0
    if isinstance(found, str) and re.fullmatch(r"-?[0-9]{1,20}", found):
        return int(found)
    if isinstance(found, float) and found.is_integer() and abs(found) < 2**63:
        return int(found)
    if isinstance(found, bool) or not isinstance(found, int):
        raise Malformed(f"{name} must be an integer")
    return found


def boolean(message: Fields, name: str, *, default: bool = False) -> bool:
    """A boolean."""
    found = value(message, name)
    if found is None:
        return default
    if not isinstance(found, bool):
        raise Malformed(f"{name} must be true or false")
    return found


def texts(message: Fields, name: str) -> list[str]:
    """A list of strings, default []."""
    found = value(message, name)
    if found is None:
        return []
    if not is_list(found):
        raise Malformed(f"{name} must be a list")
    if not is_text_list(found):
        raise Malformed(f"{name} must be a list of strings")
    return [_clean(name, item) for item in found]


def text_map(message: Fields, name: str) -> dict[str, str]:
    """A map from strings to strings, default {}."""
    found = value(message, name)
    if found is None:
        return {}
    if not is_table(found):
        raise Malformed(f"{name} must be an object")
    if not is_text_table(found):
        raise Malformed(f"{name} must be a map of strings")
    return {_clean(name, key): _clean(name, item) for key, item in found.items()}


def blob(message: Fields, name: str) -> bytes | None:
    """Bytes, in either alphabet of base64, padded or not; None when not set."""
    found = value(message, name)
    if found is None:
        return None
    if not isinstance(found, str):
        raise Malformed(f"{name} must be base64")
    try:
        if len(found) % 4 == 0:
            return base64.b64decode(found, validate=True)
    except binascii.Error:
        pass
    standard = found.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except binascii.Error:
        raise Malformed(f"{name} must be base64") from None


def _clean(name: str, found: str) -> str:
    # A NUL ends a string for the kernel; a lone surrogate is no UTF-8.
    if "\0" in found:
        raise Malformed(f"{name} must not contain NUL")
    if not found.isascii():
        try:
            found.encode()
        except UnicodeEncodeError:
            raise Malformed(f"{name} must be valid Unicode") from None
    return found
