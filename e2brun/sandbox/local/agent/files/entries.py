"""What a path is: one entry, several, or a directory's, as JSON text."""

from __future__ import annotations

import os
import stat as modes
from _json import encode_basestring_ascii as quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

PREFIX = "user.e2b."
_METADATA_LIMIT = 16 * 1024
_KINDS = {modes.S_IFREG: "f", modes.S_IFDIR: "d"}


def stat(request: dict[str, Any]) -> str:
    """The entry of `path`, not following it. Raises OSError."""
    return describe(request["path"], os.lstat(request["path"]))


def stats(request: dict[str, Any]) -> str:
    """The entries of `paths`; null for what is not there."""
    found: list[str] = []
    for path in request["paths"]:
        try:
            found.append(describe(path, os.lstat(path)))
        except OSError:
            found.append("null")
    return "[" + ",".join(found) + "]"


def listing(
    request: dict[str, Any], described: Callable[[bytes, os.stat_result], str] | None = None
) -> Iterator[str]:
    """What is below `path`, `depth` levels of it: sorted, each directory before its content."""
    described = described or describe
    top: bytes = request["path"]
    # Names lie below the path as it was asked for, whatever link it leads through.
    levels = [(top, iter(sorted(os.listdir(top))))]
    while levels:
        directory, names = levels[-1]
        name = next(names, None)
        if name is None:
            levels.pop()
            continue
        path = os.path.join(directory, name)
        try:
            facts = os.lstat(path)
            yield described(path, facts)
            if modes.S_ISDIR(facts.st_mode) and len(levels) < request["depth"]:
                levels.append((path, iter(sorted(os.listdir(path)))))
        except OSError:
            continue  # gone since, or not ours to read


def describe(path: bytes, facts: os.stat_result) -> str:
    """[path, kind, size, mode, whole mode, uid, gid, mtime in ns, link target, metadata]."""
    mode, target = facts.st_mode, "null"
    if modes.S_ISLNK(mode):
        resolved, mode = _followed(path)
        target = quote(text(resolved))
    kind = _KINDS.get(modes.S_IFMT(mode), "?")
    metadata = "{}" if kind == "?" else metadata_text(path)
    return (
        f'[{quote(text(path))},"{kind}",{facts.st_size},{modes.S_IMODE(mode)},{facts.st_mode},'
        f"{facts.st_uid},{facts.st_gid},{facts.st_mtime_ns},{target},{metadata}]"
    )


def text(name: bytes) -> str:
    """A name as it can be shown: what is not UTF-8 in it becomes U+FFFD."""
    return name.decode("utf-8", "replace")


def metadata(path: bytes | int) -> dict[str, str]:
    """What stands in the file's extended attributes under our prefix."""
    found: dict[str, str] = {}
    size = 0
    try:
        for name in os.listxattr(path):
            if name.startswith(PREFIX):
                key = name[len(PREFIX) :].encode("utf-8", "surrogateescape")
                value = os.getxattr(path, name)
                size += len(key) + len(value)
                if size <= _METADATA_LIMIT:
                    found[text(key)] = text(value)
    except OSError:
        return found
    return found


def metadata_text(path: bytes | int) -> str:
    found = metadata(path)
    if not found:
        return "{}"
    return "{" + ",".join(f"{quote(key)}:{quote(value)}" for key, value in found.items()) + "}"


def _followed(path: bytes) -> tuple[bytes, int]:
    """Where a link leads in the end, and the mode there; (itself, 0) when it leads nowhere."""
    try:
        resolved = os.path.realpath(path)
        return resolved, os.stat(resolved).st_mode
    except (OSError, RecursionError):
        return path, 0
