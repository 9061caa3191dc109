"""What E2B and the tools in its sandboxes say of files, in the words of both backends."""

from __future__ import annotations

import re
from collections.abc import Callable

from e2brun.sandbox import endings
from e2brun.sandbox.contract import HOME

# Of the file service, where it has a reason: path and reason.
_REASON = re.compile(r"could not (?:read|write) '(.*)': (.+)")
_TABLE: tuple[tuple[str, Callable[[str], str]], ...] = (
    (r"path '(.*)' does not exist", endings.not_there),
    (r"path '(.*)' is a directory", endings.a_directory),
    # tar says so of a directory in the way of a file
    (r"tar: (.*?): Cannot open: (?:File exists|Is a directory)\b", endings.a_directory),
    (r"tar: (.*?): Cannot open: No such file or directory\b", endings.not_there),
)


def reworded(said: str) -> str:
    """`said` where nothing better is known."""
    if found := _REASON.search(said):
        return f"{found[1]}: {found[2]}"
    for pattern, words in _TABLE:
        if found := re.search(pattern, said):
            path = found[1]
            return words(path if path.startswith("/") else f"{HOME}/{path}")
    return said
