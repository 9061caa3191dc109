"""Room in the layer cache: what was used least recently goes first, whatever it is.

What can go is a layer, an archive that uv keeps to link layers from, or another of uv's
directories. A file in several of them takes its room until the last of them has gone.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from e2brun.sandbox.local.packages.store import STORES, bury, locked, sweep
from e2brun.sandbox.local.packages.tree import entries

_SLACK = 20  # a twentieth of the limit may be written before anybody counts again


def note_written(cache_dir: Path, written: int, limit: int) -> None:
    """Make room if so much has been written since that was last done that it may be needed. To
    count what is there takes seconds in a large cache; this takes none."""
    tally = cache_dir / "written"
    try:
        with locked(cache_dir, "written", time.monotonic() + 1):
            before = int(tally.read_text("ascii")) if tally.exists() else limit
            tally.write_text(str(before + written), "ascii")
    except (OSError, ValueError):  # a damaged one is made anew
        before = limit
    if before + written > limit // _SLACK:
        prune(cache_dir, limit - limit // _SLACK)


def prune(cache_dir: Path, limit: int) -> None:
    """Remove what was used least recently until at most `limit` bytes are left. What a living
    process uses stays. Nothing is done while uv is at work: it links from what might go."""
    # TimeoutError is one, too; the next build tries again.
    with suppress(OSError), locked(cache_dir, "uv", 0.0):
        sweep(cache_dir)
        _Cache(cache_dir).shrink(limit)
        (cache_dir / "written").write_text("0", "ascii")


class _Unit:
    """What goes as a whole. `blocks`: bytes on disk of all in it, by device and inode."""

    def __init__(self, path: Path, *, is_layer: bool) -> None:
        self.path, self.is_layer, self.used = path, is_layer, 0.0
        with suppress(OSError):
            self.used = path.stat().st_mtime
        found = (status for _, status in entries(str(path)))
        self.blocks = {(one.st_dev, one.st_ino): one.st_blocks * 512 for one in found}


class _Cache:
    """What is there, and what each part of it takes that no other part does."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        stores = (cache_dir / name for name in STORES)
        self._units = [_Unit(p, is_layer=True) for store in stores for p in _below(store)]
        for bucket in _below(cache_dir / "uv"):
            within = _below(bucket) if bucket.name.startswith("archive-") else [bucket]
            self._units += [_Unit(path, is_layer=False) for path in within]
        self._holders = Counter(file for unit in self._units for file in unit.blocks)
        self._total = sum({f: n for unit in self._units for f, n in unit.blocks.items()}.values())
        self._date_archives()

    def _date_archives(self) -> None:
        """uv does not say when it last used one: as late as the layers that are links to it."""
        latest: dict[tuple[int, int], float] = {}
        for unit in self._units:
            for file in unit.blocks if unit.is_layer else ():
                latest[file] = max(unit.used, latest.get(file, 0.0))
        for unit in self._units:
            dates = [latest[file] for file in unit.blocks if file in latest]
            if dates and not unit.is_layer:
                unit.used = max(dates)

    def shrink(self, limit: int) -> None:
        for unit in sorted(self._units, key=lambda unit: unit.used):
            if self._total > limit:
                self._remove(unit)

    def _remove(self, unit: _Unit) -> None:
        key = unit.path.name
        with suppress(OSError):  # TimeoutError too: it is in use; or it is not ours to remove
            if not unit.is_layer:
                self._bury(unit)
                return
            with locked(self._cache_dir, key, 0.0), locked(self._cache_dir, f"{key}.used", 0.0):
                self._bury(unit)

    def _bury(self, unit: _Unit) -> None:
        bury(self._cache_dir, unit.path)
        for file, size in unit.blocks.items():
            self._holders[file] -= 1
            if self._holders[file] == 0:
                self._total -= size


def _below(directory: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in directory.iterdir() if path.is_dir() and not path.is_symlink()]
    return []
