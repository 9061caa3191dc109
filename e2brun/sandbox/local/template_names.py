"""What templates and snapshots are called: `name`, `name:tag`, with or without a team before it."""

from __future__ import annotations

import re

TEAM = "local"
DEFAULT_TAG = "default"
_NAME = re.compile(r"(?:[a-z0-9][a-z0-9_-]*/)?([a-z0-9][a-z0-9_-]{0,127})(?::([a-z0-9._-]{1,64}))?")


def split_name(text: str) -> tuple[str, str] | None:
    """(name, tag), the tag "default" where none is given; None: nothing can be called so."""
    match = _NAME.fullmatch(text)
    return (match[1], match[2] or DEFAULT_TAG) if match else None


def full_name(text: str) -> str:
    """`local/name:tag`; "" for what is no name."""
    split = split_name(text)
    return f"{TEAM}/{split[0]}:{split[1]}" if split else ""
