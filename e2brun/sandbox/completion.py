"""What is started instead of a Python file where it is to be told whether its code ran to its end.

The text that runs inside, and what it can and cannot know, is in `local/agent/programs/wholly.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

_INSIDE = Path(__file__).parent / "local" / "agent" / "programs"


def watched(argv: Sequence[str]) -> tuple[str, ...] | None:
    """The command that does the same and tells; None where nobody can: it is no Python file."""
    if len(argv) < 2 or argv[0] != "python3" or argv[1].startswith("-"):
        return None
    return (argv[0], "-c", _text("wholly"), *argv[1:])


def completion() -> str:
    """The text of the parent's side."""
    return _text("completion")


@cache
def _text(name: str) -> str:
    return (_INSIDE / f"{name}.py").read_text(encoding="ascii")
