"""Expected against got, short: whatever a stranger's program printed."""

from __future__ import annotations

import json

_LINES = 200  # of each side that are compared: difflib is quadratic
_LINE = 400
_SHOWN = 60
_TEXT = 200


def difference(expected: str, got: str) -> str:
    """A unified diff around the first line that differs; long texts and lines are cut."""
    import difflib

    ours, theirs = expected.split("\n"), got.split("\n")
    pairs = enumerate(zip(ours, theirs, strict=False))
    first = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    start = max(0, first - 2)
    left = [_cut(line) for line in ours[start : start + _LINES]]
    right = [_cut(line) for line in theirs[start : start + _LINES]]
    if left == right:  # beyond what is shown
        return f"they differ first at line {first + 1}, {_column(ours, theirs, first)}"
    lines = list(difflib.unified_diff(left, right, "expected", "got", n=2, lineterm=""))
    shown = [line for line in lines if not line.startswith("@@")][:_SHOWN]
    if start:
        shown.insert(2, f" ... from line {start + 1}")
    if len(lines) > _SHOWN or len(theirs) > start + _LINES:
        shown.append(f" ... ({len(ours)} lines expected, {len(theirs)} got)")
    return "\n".join(shown)


def _column(ours: list[str], theirs: list[str], line: int) -> str:
    one, other = ours[line] if line < len(ours) else "", theirs[line] if line < len(theirs) else ""
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return f"character {min(len(one), len(other)) + 1 if same is None else same + 1}"


def _cut(line: str) -> str:
    return line if len(line) <= _LINE else f"{line[:_LINE]} ... ({len(line)} characters)"


def shown(value: object) -> str:
    """A value for one line of a message: JSON, cut."""
    if isinstance(value, str):
        value = value if len(value) <= _TEXT else f"{value[:_TEXT]}…"
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _TEXT + 2 else f"{text[:_TEXT]}…"


def excerpt(text: str) -> str:
    """The beginning and the end of a text, for details."""
    if len(text) <= 2000:
        return text
    return f"{text[:1000]}\n ... ({len(text)} characters) ...\n{text[-1000:]}"
