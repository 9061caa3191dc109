"""The directories of the layer cache: locks, what dead builds left, size, and pruning.

    CACHE/layers/KEY     a finished layer       CACHE/locks/KEY   flock while KEY is being built
    CACHE/template/KEY   one of the template's packages alone, which nobody's secret is
    CACHE/building/KEY.* one build's own files  CACHE/uv          uv's cache, hard links to layers

Lock files stay: removing one would let two builders hold "the" lock on different files.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_POLL = 0.05


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, that any uid can read whatever our umask is."""
    missing = [path, *path.parents]
    missing = missing[: next(i for i, one in enumerate(missing) if one.exists())]
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)


@contextmanager
def locked(cache_dir: Path, key: str, deadline: float) -> Generator[int]:
    """Hold the lock of a layer (its descriptor is given); TimeoutError past the deadline.

    A process that inherits the descriptor holds the lock as well.
    """
    make_directory(cache_dir / "locks")
    descriptor = os.open(cache_dir / "locks" / key, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # flock alone waits for ever, and a signal handler cannot be counted on to end it.
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError
            time.sleep(_POLL)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep(cache_dir: Path, held: str = "") -> None:
    """Remove the files of builds that are dead: nobody holds their lock (or we do: `held`)."""
    building = cache_dir / "building"
    for left in list(building.iterdir()) if building.is_dir() else []:
        key = left.name.partition(".")[0]
        if key == held:
            shutil.rmtree(left, ignore_errors=True)
            continue
        try:
            with locked(cache_dir, key, 0.0):
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # TimeoutError too: it is alive; or it is not ours to remove
            continue


def prune(cache_dir: Path, unused_days: float) -> int:
    """Remove layers that nobody asked for in so many days; how many there were."""
    sweep(cache_dir)
    before, removed = time.time() - unused_days * 86400, 0
    stores = [cache_dir / name for name in ("layers", "template")]
    for layer in [path for store in stores for path in store.glob("*/")]:
        try:
            with locked(cache_dir, layer.name, 0.0):
                if layer.stat().st_mtime > before:
                    continue
                # Renamed first: a half-removed directory is never taken for a layer.
                make_directory(cache_dir / "building")
                grave = cache_dir / "building" / f"{layer.name}.removed-{os.getpid()}"
                layer.rename(grave)
                shutil.rmtree(grave, ignore_errors=True)
                removed += 1
        except OSError:
            continue
    return removed


def link_tree(source: Path, target: Path) -> None:
    """The files of `source` in `target` as well: no copies where the file system lets us."""
    for directory, _, names in os.walk(source):
        place = target / os.path.relpath(directory, source)
        place.mkdir(exist_ok=True)
        for name in names:
            try:
                os.link(f"{directory}/{name}", place / name)
            except OSError:  # somebody else's (fs.protected_hardlinks), or linked too often
                shutil.copy2(f"{directory}/{name}", place / name)


def disk_usage(directory: Path) -> int:
    """Bytes that its files take on disk, hard links counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))
            except OSError:  # gone since
                continue
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total
