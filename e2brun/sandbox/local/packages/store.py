"""The directories of the layer cache: who builds, who uses, what dead builds left.

    CACHE/layers/KEY/packages  what a sandbox mounts    CACHE/locks/KEY       flock: being built
    CACHE/layers/KEY/manifest  written last             CACHE/locks/KEY.used  flock: in use
    CACHE/building/KEY.*       one build's own files    CACHE/locks/uv        flock: uv is at work
    CACHE/template             as layers, of nothing but the default template's packages
    CACHE/uv                   uv's, hard links to layers

Lock files stay: removing one would let two builders hold "the" lock on different files. None of
them is in a layer, where a sandbox could hold it as well.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from e2brun.errors import InstallFailed
from e2brun.sandbox.local.packages.tree import remove
from e2brun.sandbox.local.packages.use import MANIFEST

_POLL = 0.05


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, that any uid can read whatever our umask is."""
    missing = [path, *path.parents]
    missing = missing[: next(i for i, one in enumerate(missing) if one.exists())]
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)


def unkept(what: str, directory: Path, error: OSError) -> InstallFailed:
    """Of which that was the end."""
    return InstallFailed(
        f"{what} cannot be kept in {directory}: {error.strerror or error}",
        hint="Name a directory that can be written to in E2BRUN_CACHE_DIR.",
    )


@contextmanager
def locked(
    cache_dir: Path, key: str, deadline: float, *, how: int = fcntl.LOCK_EX
) -> Generator[int]:
    """Hold the lock of a layer (its descriptor is given); TimeoutError past the deadline.

    A process that inherits the descriptor holds the lock as well.
    """
    make_directory(cache_dir / "locks")
    descriptor = os.open(cache_dir / "locks" / key, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # flock alone waits for ever, and a signal handler cannot be counted on to end it.
        while not _try_lock(descriptor, how):
            if time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(_POLL)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def publish(place: Path, layer: Path) -> None:
    """Put a finished layer in its place; its lock is held. Nothing of it is seen before."""
    (layer / MANIFEST).write_text(f"{place.name}\n", "ascii")
    (place.parents[1] / "locks" / f"{place.name}.used").touch()
    if os.path.lexists(place):  # it is not complete, or others could have changed it
        place.rename(layer.with_name("replaced"))
    layer.rename(place)


def sweep(cache_dir: Path, held: str = "") -> None:
    """Remove the files of builds that are dead: nobody holds their lock (or we do: `held`)."""
    building = cache_dir / "building"
    for left in list(building.iterdir()) if building.is_dir() else []:
        key = left.name.partition(".")[0]
        if key == held:
            remove(left)
            continue
        try:
            with locked(cache_dir, key, 0.0):
                remove(left)
        except OSError:  # TimeoutError too: it is alive; or it is not ours to remove
            continue


def link_tree(source: Path, target: Path) -> None:
    """The files of `source` in `target` as well: no copies where the file system lets us."""
    for directory, _, names in os.walk(source):
        place = target / os.path.relpath(directory, source)
        make_directory(place)
        for name in names:
            try:
                os.link(f"{directory}/{name}", place / name)
            except OSError:  # somebody else's (fs.protected_hardlinks), or linked too often
                shutil.copy2(f"{directory}/{name}", place / name)
