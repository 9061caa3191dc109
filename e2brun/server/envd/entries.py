"""What the file worker says about a path, checked, as E2B's EntryInfo in proto-JSON."""

from __future__ import annotations

import errno
import stat
from datetime import UTC, datetime
from typing import Any

from e2brun.sandbox.local.host.file_worker import FileTrouble
from e2brun.server.envd import paths
from e2brun.values import is_list, is_text_table

Entry = dict[str, Any]

_KINDS = {"f": "FILE_TYPE_FILE", "d": "FILE_TYPE_DIRECTORY"}
_USERS = {0: "root", 1000: "user", 65534: "nobody"}
_GROUPS = {0: "root", 1000: "user", 65534: "nogroup"}
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799  # the years 1 to 9999
# As Go writes file modes, in its order.
_SPECIAL = (
    ("d", stat.S_ISDIR), ("L", stat.S_ISLNK), ("D", stat.S_ISBLK), ("p", stat.S_ISFIFO),
    ("S", stat.S_ISSOCK),
)  # fmt: skip
_BITS = (("u", stat.S_ISUID), ("g", stat.S_ISGID), ("t", stat.S_ISVTX))
_TYPES = (str, str, int, int, int, int, int, int)


def entry_info(raw: object) -> Entry:
    """Raises FileTrouble for what is no description."""
    fields: list[Any] = items(raw)
    if len(fields) != 10 or tuple(map(type, fields[:8])) != _TYPES:
        raise FileTrouble(errno.EPROTO)
    path, kind, size, mode, whole, uid, gid, modified, target, metadata = fields
    entry: Entry = {
        "name": paths.name(path),
        "type": _KINDS.get(kind, "FILE_TYPE_UNSPECIFIED"),
        "path": path,
        "size": str(size),
        "mode": mode & 0o777,
        "permissions": permissions(whole & 0xFFFF),
        "owner": _USERS.get(uid, str(uid)),
        "group": _GROUPS.get(gid, str(gid)),
        "modifiedTime": _timestamp(modified),
    }
    if isinstance(target, str):
        entry["symlinkTarget"] = target
    if kept := text_map(metadata):
        entry["metadata"] = kept
    return entry


def items(raw: object) -> list[object]:
    """`raw` if it is a list. Raises FileTrouble."""
    if not is_list(raw):
        raise FileTrouble(errno.EPROTO)
    return raw


def text_map(raw: object) -> dict[str, str]:
    """`raw` if it maps strings to strings. Raises FileTrouble."""
    if not is_text_table(raw):
        raise FileTrouble(errno.EPROTO)
    return raw


def permissions(mode: int) -> str:
    """`drwxr-xr-x`, as Go's FileMode.String."""
    special = "".join(letter for letter, test in _SPECIAL if test(mode))
    if stat.S_ISCHR(mode):
        special = "Dc"
    special += "".join(letter for letter, bit in _BITS if mode & bit)
    return (special or "-") + stat.filemode(mode & 0o777)[1:]


def _timestamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = datetime.fromtimestamp(min(max(seconds, _FIRST_SECOND), _LAST_SECOND), UTC)
    return f"{moment.isoformat()[:19]}.{rest:09}Z"
