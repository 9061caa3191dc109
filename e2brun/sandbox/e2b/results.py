"""What a cell sends back, believed only as far as its type: the sandbox may send anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from e2brun.sandbox.contract import JSON_RESULT_KEYS, TEXT_RESULT_KEYS, CodeError, Result
from e2brun.values import is_table

LONGEST_TRACEBACK = 1024 * 1024
LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True)
class Text:
    """Output of the cell."""

    text: str
    is_stderr: bool


@dataclass(frozen=True, slots=True)
class Rich:
    """A result: the cell's value, or something it displayed."""

    result: Result
    size: int


@dataclass(frozen=True, slots=True)
class Raised:
    """What ended the cell."""

    error: CodeError


@dataclass(frozen=True, slots=True)
class Accepted:
    """The interpreter took the cell."""


@dataclass(frozen=True, slots=True)
class CellDone:
    """The cell is over."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A line that means nothing to us: a sign of life."""


CellEvent = Text | Rich | Raised | Accepted | CellDone | Nothing


def cell_event(line: bytes) -> CellEvent | None:
    """The event a line stands for, None for a line that is not of this protocol."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not is_table(document):
        return None
    kind = document.get("type")
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    return Nothing() if reader is None else reader(document, len(line))


def _text(fields: dict[str, object], size: int) -> CellEvent:
    text = fields.get("text")
    is_stderr = fields["type"] == "stderr"
    return Text(text, is_stderr) if isinstance(text, str) and size else Nothing()


def _result(fields: dict[str, object]) -> Result:
    result: Result = {}
    for key, value in fields.items():
        text = key in TEXT_RESULT_KEYS and isinstance(value, str)
        if text or (key in JSON_RESULT_KEYS and value is not None):
            result[key] = value
    result["extra"] = result["extra"] if isinstance(result.get("extra"), dict) else {}
    result["is_main_result"] = fields.get("is_main_result") is True
    return result


def _error(fields: dict[str, object]) -> CodeError:
    def text(key: str, limit: int) -> str:
        value = fields.get(key)
        return value[:limit] if isinstance(value, str) else ""

    return CodeError(
        text("name", LONGEST_NAME) or "Error",
        text("value", LONGEST_TRACEBACK),
        text("traceback", LONGEST_TRACEBACK),
    )


_READERS: dict[str, Callable[[dict[str, object], int], CellEvent]] = {
    "stdout": _text,
    "stderr": _text,
    "result": lambda fields, size: Rich(_result(fields), size),
    "error": lambda fields, size: Raised(_error(fields)),
    "number_of_executions": lambda fields, size: Accepted(),
    "end_of_execution": lambda fields, size: CellDone(),
}
