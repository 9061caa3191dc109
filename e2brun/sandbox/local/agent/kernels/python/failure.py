"""What a cell raised, told as Python tells it, with no frame of ours."""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from traceback import TracebackException
    from types import TracebackType

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own

HEADER = "Traceback (most recent call last):"
MAX_NAME = 200
MAX_VALUE = 64 * 1024
MAX_TRACEBACK = 1024 * 1024
_HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


def describe(error: BaseException, cells: str | tuple[str, ...]) -> tuple[str, str, str]:
    """Name, value and traceback, which begins in the first file of a cell (`cells`: how their names
    begin); survives whatever the exception's own methods do."""
    name = _name(error)
    value = clipped(_value(error), MAX_VALUE)
    try:
        text = _traceback(error, cells)
    except BaseException:  # `traceback` patched by the cell, or the chain too deep
        text = f"{HEADER}\n{name}: {value}\n"
    return name, value, clipped(text, MAX_TRACEBACK)


def exit_code(leaving: SystemExit) -> int:
    """The status with which Python would leave, 0 to 255; anything but a number is printed."""
    try:
        asked: object = leaving.code
        if asked is None:
            return 0
        if isinstance(asked, int):
            return int.__and__(asked, 0xFF) if -(2**63) <= asked < 2**63 else 0xFF
        print(asked, file=sys.stderr)  # noqa: T201 - as Python does
    except BaseException:  # their class, their __str__ or their stream
        return 1
    return 1


def _name(error: BaseException) -> str:
    try:
        return str(type(error).__name__)[:MAX_NAME]
    except BaseException:  # a metaclass of theirs
        return "Exception"


def _value(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # their __str__
        return "<exception str() failed>"


def clipped(text: str, limit: int) -> str:
    """The text, or both ends of it."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def _traceback(error: BaseException, cells: str | tuple[str, ...]) -> str:
    import traceback

    start = _first_cell_frame(error.__traceback__, cells)
    told = traceback.TracebackException(type(error), error, start)
    _without_our_frames(told)
    text = "".join(told.format())
    return text if HEADER in text.split("\n", 1)[0] else f"{HEADER}\n{text}"


def _first_cell_frame(
    tb: TracebackType | None, cells: str | tuple[str, ...]
) -> TracebackType | None:
    """Leave out how we got there: our own frames, and asyncio's under an awaited cell."""
    entry = tb
    while entry is not None:
        if entry.tb_frame.f_code.co_filename.startswith(cells):
            return entry
        entry = entry.tb_next
    return tb


def _without_our_frames(told: TracebackException) -> None:
    waiting: list[TracebackException | None] = [told]
    seen: set[int] = set()
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(_HERE)]
        waiting += [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())]
