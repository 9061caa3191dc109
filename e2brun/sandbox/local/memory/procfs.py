"""Files of /proc, and the `Field:   123 kB` lines in them."""

from __future__ import annotations

from contextlib import suppress


def contents(path: str) -> bytes:
    """All of a file; b'' where there is none, or it may not be read."""
    with suppress(OSError), open(path, "rb") as file:
        return file.read()
    return b""


def word(text: bytes, field: bytes) -> bytes:
    """The first word of the line that begins with `field`; b'' when there is none."""
    # A line's beginning, since a process may call itself "RssAnon: 0 kB".
    at = (b"\n" + text).find(b"\n" + field)
    words = text[at + len(field) : at + len(field) + 40].split(None, 1) if at >= 0 else []
    return words[0] if words else b""


def kilobytes(text: bytes, field: bytes) -> int:
    """The bytes of a `Field:   123 kB` line; 0 when there is none."""
    found = word(text, field)
    return int(found) * 1024 if found.isdigit() else 0
