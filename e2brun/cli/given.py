"""Numbers on the command line, and which option they were given to."""

from __future__ import annotations

from e2brun.errors import UsageError
from e2brun.values import parse_count


def count(option: str, text: str | None) -> int | None:
    """A whole number, 1 or more; None where nothing was given."""
    try:
        return None if text is None else parse_count(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error


def share(option: str, text: str | None) -> float:
    """From 0 to 1, which is what counts where nothing was given."""
    try:
        found = 1.0 if text is None else float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise UsageError(f"{option} {text}: write a share from 0 to 1, such as 0.95")
    return found
