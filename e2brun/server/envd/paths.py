"""Paths as clients write them, and as the sandbox sees them (E2B_PROTOCOL 4.1)."""

from __future__ import annotations

import os
import posixpath

from e2brun.sandbox.contract import absolute
from e2brun.sandbox.local.template_setup import USERS


class BadPath(Exception):
    """No file can have this name."""


def resolve(path: str, user: str) -> str:
    """The absolute path: `~` and what is relative start at the user's home. Raises BadPath. Bytes
    that are not UTF-8 are kept as surrogates (os.fsencode gives them back)."""
    home = USERS[user]
    resolved = path if path.startswith("/") else posixpath.normpath(absolute(path, home, home))
    if "\0" in resolved:
        raise BadPath("the path must not contain NUL")
    try:
        os.fsencode(resolved)
    except UnicodeEncodeError:
        raise BadPath("the path is not valid Unicode") from None
    return resolved


def shown(path: str) -> str:
    """A path that can be shown: what is not UTF-8 in it becomes U+FFFD."""
    if path.isascii():
        return path
    return os.fsencode(path).decode("utf-8", "replace")


def name(path: str) -> str:
    """The last part, "/" for the root."""
    return path.rstrip("/").rpartition("/")[2] or "/"
