"""What was given to an option, and which one it was where that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from e2brun.errors import UsageError
from e2brun.values import parse_count

T = TypeVar("T")


def given(option: str, parse: Callable[[str], T], text: str | None) -> T | None:
    """What `parse` makes of it; None where nothing was given."""
    try:
        return None if text is None else parse(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}", hint=error.hint or None) from error


def count(option: str, text: str | None) -> int | None:
    """A whole number, 1 or more."""
    return given(option, parse_count, text)


def share(option: str, text: str | None) -> float:
    """From 0 to 1, which is what counts where nothing was given."""
    try:
        found = 1.0 if text is None else float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise UsageError(f"{option} {text}: write a share from 0 to 1, such as 0.95")
    return found
