"""Fields of proto-JSON messages, read as proto3 reads them: absent and null are the default, a
field may carry its camelCase or its snake_case name, unknown ones do not matter."""

from __future__ import annotations

import base64
import re
from typing import Any

from e2brun.server.http.fields import Fields
from e2brun.values import is_table

_CAPITAL = re.compile(r"[A-Z]")
_LONGEST = 1024 * 1024  # characters; the kernel takes no path, and no argument, that is nearly so


class RpcError(Exception):
    """Ends a call with an error; `code` is one of Connect's names, such as "not_found"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def body(self) -> dict[str, str]:
        """The error as the client is sent it."""
        return {"code": self.code, "message": self.message}


class Message(Fields):
    """One message; its strings are fit for the kernel. A field of the wrong type is an RpcError."""

    def raw(self, name: str) -> Any:
        """The field `name` (camelCase); None when it is not set."""
        found = self._body.get(name)
        if found is None:
            found = self._body.get(_CAPITAL.sub(lambda capital: "_" + capital[0].lower(), name))
        return found

    def bad(self, name: str, expected: str) -> RpcError:
        return RpcError("invalid_argument", f"{name} must be {expected}")

    def texts(self, name: str) -> list[str]:
        """A list of strings, default []."""
        return super().texts(name) or []

    def number(self, name: str) -> int:
        """An integer (64-bit ones travel as strings), default 0."""
        found = self.raw(name)
        if found is None:
            return 0
        if isinstance(found, str) and re.fullmatch(r"-?[0-9]{1,20}", found):
            return int(found)
        if isinstance(found, float) and found.is_integer() and abs(found) < 2**63:
            return int(found)
        if isinstance(found, bool) or not isinstance(found, int):
            raise self.bad(name, "an integer")
        return found

    def text_map(self, name: str, expected: str = "a map of strings") -> dict[str, str]:
        """A map from strings to strings, default {}."""
        wrong = self.raw(name) is not None and not is_table(self.raw(name))
        return super().text_map(name, "an object" if wrong else expected)

    def blob(self, name: str) -> bytes | None:
        """Bytes, in either alphabet of base64, padded or not; None when not set."""
        found = self.raw(name)
        if found is None:
            return None
        if not isinstance(found, str):
            raise self.bad(name, "base64")
        try:
            if len(found) % 4 == 0:
                return base64.b64decode(found, validate=True)
        except ValueError:
            pass
        standard = found.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
        try:
            return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
        except ValueError:
            raise self.bad(name, "base64") from None

    def fit(self, name: str, text: str) -> str:
        """Also for the kernel, for which a NUL ends it."""
        if "\0" in text:
            raise RpcError("invalid_argument", f"{name} must not contain NUL")
        if len(text) > _LONGEST:
            raise RpcError("invalid_argument", f"{name} is too long")
        return super().fit(name, text)
