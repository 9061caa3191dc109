"""Finished directories that never change, kept by key: who makes one, who uses it, and what dead
makers left.

    CACHE/layers/KEY/packages  what a sandbox mounts    CACHE/locks/KEY       flock: being made
    CACHE/layers/KEY/manifest  written last             CACHE/locks/KEY.used  flock: in use
    CACHE/building/KEY.*       one maker's own files    CACHE/locks/uv        flock: uv is at work
    CACHE/template, CACHE/npm  as layers: the default template's packages, what npm fetched
    CACHE/uv                   uv's, hard links to layers

Lock files stay: removing one would let two makers hold "the" lock on different files. None of
them is in a layer, where a sandbox could hold it as well.

Every run that has packages comes by here: to take what is there costs a few system calls, and no
import.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from e2brun.errors import InstallFailed

STORES = LAYERS, TEMPLATE, NPM = "layers", "template", "npm"
PACKAGES, MANIFEST = "packages", "manifest"
_POLL = 0.05
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_used: dict[str, int] = {}  # lock file -> descriptor that holds it until this process ends

# Puts what is wanted into a directory; given the lock, which stays held while anybody has it, and
# until when (monotonic).
Fill = Callable[[Path, int, float], None]


class Store:
    """Those of one directory of a cache. A KEY that is there is complete: it is made beside its
    place and renamed into it."""

    def __init__(self, cache_dir: Path, name: str = LAYERS) -> None:
        self._cache_dir, self.directory = cache_dir, cache_dir / name

    def take(self, key: str) -> Path | None:
        """What was kept, which stays while this process lives; None: make it."""
        place = f"{self.directory}/{key}"
        if not self._complete(key) or not _hold(f"{self._cache_dir}/locks/{key}.used"):
            return None
        with suppress(OSError):  # its disk may be read-only, or the directory root's
            os.utime(place)  # tells whoever makes room that it is in use
        # Somebody may have removed it before we held it.
        return Path(place, PACKAGES) if os.path.isdir(place) else None

    def make(self, key: str, what: str, seconds: float, fill: Fill) -> Path:
        """What is there afterwards, made by us or by whoever did while we waited. A maker that
        dies leaves nothing that could be taken for it. `what` is the word for it in the
        InstallFailed that is raised."""
        deadline = time.monotonic() + seconds
        try:
            make_directory(self.directory)
            if not _ours(str(self.directory)):
                raise InstallFailed(
                    f"{what} cannot be kept in {self._cache_dir}: others can write to it",
                    hint="Name a directory of your own in E2BRUN_CACHE_DIR.",
                )
            with locked(self._cache_dir, key, deadline) as lock:
                sweep(self._cache_dir, held=key)
                if not self._complete(key):
                    self._make(key, lock, deadline, fill)
        except TimeoutError:
            raise InstallFailed(
                f"{what} could not be installed within {seconds:g} s",
                hint="Allow more with --install-timeout or E2BRUN_INSTALL_TIMEOUT.",
            ) from None
        except OSError as error:
            raise unkept(what, self._cache_dir, error) from error
        found = self.take(key)
        if found is None:  # removed, or changed
            raise InstallFailed(f"{what} went away from {self._cache_dir} in this very moment")
        return found

    def _complete(self, key: str) -> bool:
        """Whether it was finished, and nobody but us and root could have changed it since."""
        place = f"{self.directory}/{key}"
        return (
            os.path.lexists(f"{place}/{MANIFEST}")
            and _ours(str(self.directory))
            and _ours(place)
            and _ours(f"{place}/{PACKAGES}")
        )

    def _make(self, key: str, lock: int, deadline: float, fill: Fill) -> None:
        from e2brun.sandbox.local.packages.tree import remove

        aside, place = _aside(self._cache_dir, key), self.directory / key
        aside.mkdir(0o700)
        try:
            made = aside / "layer"
            make_directory(made / PACKAGES)
            fill(made / PACKAGES, lock, deadline)
            (made / MANIFEST).write_text(f"{key}\n", "ascii")
            (self._cache_dir / "locks" / f"{key}.used").touch()
            if os.path.lexists(place):  # it is not complete, or others could have changed it
                place.rename(aside / "replaced")
            made.rename(place)
        finally:
            remove(aside)


def _ours(directory: str) -> bool:
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


@contextmanager
def locked(
    cache_dir: Path, key: str, deadline: float, *, how: int = fcntl.LOCK_EX
) -> Generator[int]:
    """Hold the lock of a key (its descriptor is given); TimeoutError past the deadline. A process
    that inherits the descriptor holds the lock as well."""
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


def _aside(cache_dir: Path, key: str) -> Path:
    """Where nobody takes anything for finished, and all is removed once nobody holds `key`."""
    building = cache_dir.absolute() / "building"
    make_directory(building)
    return building / f"{key}.{os.urandom(6).hex()}"


def bury(cache_dir: Path, place: Path) -> None:
    """Remove what nobody uses: renamed first, so that what is half removed is taken for nothing."""
    from e2brun.sandbox.local.packages.tree import remove

    grave = _aside(cache_dir, "gone")
    place.rename(grave)
    remove(grave)


def sweep(cache_dir: Path, held: str = "") -> None:
    """Remove the files of makers that are dead: nobody holds their lock (or we do: `held`)."""
    from e2brun.sandbox.local.packages.tree import remove

    building = cache_dir / "building"
    for left in list(building.iterdir()) if building.is_dir() else []:
        key = left.name.rpartition(".")[0]
        if key == held:
            remove(left)
            continue
        try:
            with locked(cache_dir, key, 0.0):
                remove(left)
        except OSError:  # TimeoutError too: it is alive; or it is not ours to remove
            continue
