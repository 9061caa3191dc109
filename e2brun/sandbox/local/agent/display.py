"""Turn a value into what a notebook shows of it: its mime types under E2B's names."""

# ruff: noqa: TID252 - inside the sandbox this package has another name
from __future__ import annotations

import builtins
import sys

from .channel import complain
from .jsontext import MAX_VALUES, Fragment, NotJsonError, is_a

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .channel import Channel
    from .figures import Figures

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
METHODS = ("html", "markdown", "svg", "png", "jpeg", "pdf", "latex", "json", "javascript")
JSON_KEYS = ("json", "data", "chart")
CANARY = "_ipython_canary_method_should_not_exist_"


class Display:
    """Sends values as results; a repr method that fails costs its own format, no more."""

    def __init__(self, channel: Channel, figures: Figures) -> None:
        self._channel = channel
        self._figures = figures

    def main_result(self, value: object) -> None:
        """Send the value of a cell's last expression."""
        if self._figures.already_shown(value):
            self._channel.result({"text": text_of(value)}, main=True)
        else:
            self._send(value, main=True)

    def display(self, *objs: object, raw: bool = False, **_options: object) -> None:
        """Show objects as rich results; with `raw`, objects are dicts by mime type."""
        for obj in objs:
            if raw and isinstance(obj, dict):
                fields: Fields = {}
                add_bundle(fields, obj)
                self._channel.result(fields, main=False)
            else:
                self._send(obj, main=False)

    def _send(self, value: object, main: bool) -> None:
        if _displays_itself(value):
            return
        fields: Fields = {"text": text_of(value)}
        if self._figures.is_figure(value):
            fields.update(self._figures.fields_of(value))
        else:
            fields.update(_rich(value))
        if not self._channel.result(fields, main):
            print(fields["text"])  # noqa: T201 - as `display` does where there is no notebook


def text_of(value: object) -> str:
    """`repr`, without the quotes of a string, whatever repr does."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - their __repr__
        name, why = type(value).__name__, type(error).__name__
        return f"<{name} object at {id(value):#x}, whose repr raised {why}>"
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _rich(value: Any) -> Fields:
    fields: Fields = {}
    add_bundle(fields, _call(value, "_repr_mimebundle_", include=None, exclude=None))
    for key in METHODS:
        if key not in fields:
            _add(fields, key, _call(value, f"_repr_{key}_"))
    if is_a(value, list, dict) and "json" not in fields:
        _add(fields, "json", value)
    if is_frame(value) and "data" not in fields:
        columns = attempt(value, "to_dict", lambda: columns_of(value))
        if columns is not None:
            fields["data"] = columns
    return fields


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
    except Exception as error:  # noqa: BLE001 - a list or dict of theirs with methods of its own
        _tell(data, key, error)


def _call(value: object, name: str, **arguments: object) -> Any:
    """What a repr method gives, without its metadata; None if there is no such method."""
    method = _method(value, name)
    if method is None:
        return None
    given = attempt(value, name, lambda: method(**arguments))
    return given[0] if is_a(given, tuple) and given else given


def _method(value: object, name: str) -> Callable[..., Any] | None:
    if isinstance(value, type):  # the methods are for its instances
        return None
    try:
        # Proxies and mocks that have every attribute have this one too.
        if getattr(value, CANARY, None) is not None:
            return None
        method = getattr(value, name, None)
    except Exception:  # noqa: BLE001 - their __getattr__
        return None
    return method if callable(method) else None


def attempt(value: object, name: str, action: Callable[[], Any]) -> Any:
    """What `action` gives; None, and a line on standard error, when it fails."""
    try:
        return action()
    except NotImplementedError:  # how a repr method says "not for this one"
        return None
    except Exception as error:  # noqa: BLE001 - their method
        _tell(value, name, error)
        return None


def _tell(value: object, name: str, error: Exception) -> None:
    try:
        complain(f"{name} of {type(value).__name__} raised {type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - their __str__
        return


def _displays_itself(value: object) -> bool:
    method = _method(value, "_ipython_display_")
    if method is None:
        return False
    return attempt(value, "_ipython_display_", lambda: (method(), True)[1]) is True


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
