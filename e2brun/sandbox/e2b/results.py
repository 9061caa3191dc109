"""What a cell sends back, believed only as far as its type: the sandbox may send anything."""

from __future__ import annotations

import json
from typing import NamedTuple

from e2brun.sandbox.contract import JSON_RESULT_KEYS, TEXT_RESULT_KEYS, CodeError, Result
from e2brun.values import is_table

LONGEST_TRACEBACK = 1024 * 1024
LONGEST_NAME = 1000


class CellLine(NamedTuple):
    """One line of a cell's answer; `size` in bytes."""

    fields: dict[str, object]
    size: int

    @property
    def is_last(self) -> bool:
        return self.fields.get("type") == "end_of_execution"


def cell_line(line: bytes) -> CellLine | None:
    """None for a line that is not of this protocol."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return CellLine(document, len(line)) if is_table(document) else None


def rich_result(fields: dict[str, object]) -> Result:
    """The cell's value, or something it displayed."""
    result: Result = {}
    for key, value in fields.items():
        text = key in TEXT_RESULT_KEYS and isinstance(value, str)
        if text or (key in JSON_RESULT_KEYS and value is not None):
            result[key] = value
    result["extra"] = result["extra"] if isinstance(result.get("extra"), dict) else {}
    result["is_main_result"] = fields.get("is_main_result") is True
    return result


def raised(fields: dict[str, object]) -> CodeError:
    """What ended the cell."""

    def text(key: str, limit: int) -> str:
        value = fields.get(key)
        return value[:limit] if isinstance(value, str) else ""

    return CodeError(
        text("name", LONGEST_NAME) or "Error",
        text("value", LONGEST_TRACEBACK),
        text("traceback", LONGEST_TRACEBACK),
    )
