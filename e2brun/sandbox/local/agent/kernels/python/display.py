"""Turn a value into what a notebook shows of it: its mime types under E2B's names."""

from __future__ import annotations

import builtins
import sys

from ..jsontext import MAX_VALUES, Fragment, NotJsonError, is_a
from .channel import complain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Fields = dict[str, "str | Fragment"]

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own

KEYS = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
    "e2b/data": "data",
    "e2b/chart": "chart",
}
JSON_KEYS = ("json", "data", "chart")


def add_bundle(fields: Fields, bundle: Any) -> None:
    """Take what a mime bundle holds; types that E2B has no name for go under `extra`."""
    if not is_a(bundle, dict):
        return
    extra: dict[str, object] = {}
    for mime, data in bundle.items():
        if isinstance(mime, str) and mime in KEYS:
            _add(fields, KEYS[mime], data)
        elif isinstance(mime, str) and data is not None:
            extra[mime] = _base64(data) if isinstance(data, bytes) else data
    if extra:
        _add_json(fields, "extra", extra, lenient=True)


def _add(fields: Fields, key: str, data: object) -> None:
    if data is None:
        return
    if key in JSON_KEYS:
        _add_json(fields, key, data, lenient=key != "json")
    elif isinstance(data, bytes):
        binary = key in ("png", "jpeg", "pdf")
        fields[key] = _base64(data) if binary else data.decode("utf-8", "replace")
    elif isinstance(data, str):
        fields[key] = data


def _add_json(fields: Fields, key: str, data: object, lenient: bool) -> None:
    try:
        fields[key] = Fragment(data, lenient)
    except NotJsonError:
        return
    except Exception as error:  # a list or dict of theirs with methods of its own
        _tell(data, key, error)


def attempt(value: object, name: str, action: Callable[[], Any]) -> Any:
    """What `action` gives; None, and a line on standard error, when it fails."""
    try:
        return action()
    except NotImplementedError:  # how a repr method says "not for this one"
        return None
    except Exception as error:  # their method
        _tell(value, name, error)
        return None


def _tell(value: object, name: str, error: Exception) -> None:
    try:
        complain(f"{name} of {type(value).__name__} raised {type(error).__name__}: {error}")
    except Exception:  # their __str__
        return


def is_frame(value: object) -> bool:
    """Whether it is a DataFrame of pandas."""
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    return isinstance(frame, type) and isinstance(value, frame)


def columns_of(frame: Any) -> Fragment | None:
    """The columns of a DataFrame as lists, dates in ISO form; None if too many or of one name."""
    if frame.size > MAX_VALUES or not frame.columns.is_unique:
        return None
    try:
        return Fragment(frame.to_dict(orient="list"), lenient=True)
    except NotJsonError:
        return None


def _base64(data: bytes) -> str:
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode("ascii")
