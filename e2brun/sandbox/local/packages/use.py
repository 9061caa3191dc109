"""A finished layer, looked at before it is used, and kept while it is.

Every run that has packages comes by here: it costs a few system calls, and no import.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

LAYERS = "layers"  # a directory of the cache
PACKAGES, MANIFEST = "packages", "manifest"
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_used: dict[str, int] = {}  # lock file -> descriptor that holds it until this process ends


def take(cache_dir: Path, key: str, store: str = LAYERS) -> Path | None:
    """The packages of a finished layer, which stays while this process lives; None: make it."""
    layer = f"{cache_dir}/{store}/{key}"
    if not complete(layer) or not _hold(f"{cache_dir}/locks/{key}.used"):
        return None
    with suppress(OSError):  # its disk may be read-only, or the layer root's
        os.utime(layer)  # tells whoever makes room that it is in use
    # Somebody may have removed it before we held it.
    return Path(layer, PACKAGES) if os.path.isdir(layer) else None


def complete(layer: str) -> bool:
    """Whether it was finished, and nobody but us and root could have changed it since."""
    return (
        os.path.lexists(f"{layer}/{MANIFEST}")
        and ours(os.path.dirname(layer))
        and ours(layer)
        and ours(f"{layer}/{PACKAGES}")
    )


def ours(directory: str) -> bool:
    """Whether it is a directory to which only we, or root, can write."""
    try:
        found = os.lstat(directory)
    except OSError:
        return False
    mine = found.st_uid in (0, os.geteuid())
    return mine and stat.S_ISDIR(found.st_mode) and not found.st_mode & _OTHERS_MAY_WRITE


def _hold(lock: str) -> bool:
    """Keep a layer from being removed for as long as this process lives: sandboxes have it
    mounted. False while somebody is removing it; where we may not lock, nobody is kept from it.
    """
    if lock in _used:
        return True
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    if _used.setdefault(lock, descriptor) != descriptor:  # another thread was faster
        os.close(descriptor)
    return True
