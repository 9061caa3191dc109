"""The npm package that strips types from TypeScript cells, fetched once and kept in the cache.

    CACHE/npm/PACKAGE-VERSION/node_modules/...      complete, or not there

Fetched beside its place and renamed into it, as the wheel layers are. No script of a package
runs. Sandboxes see it read-only, at `jail.NODE_DIRECTORY`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from e2brun.sandbox.local.packages.store import locked, make_directory

_PACKAGE = "@swc/wasm-typescript"
_VERSION = "1.16.2"
_KEY = f"swc-wasm-typescript-{_VERSION}"
_TIMEOUT = 60.0
_RETRY_SECONDS = 600.0  # a machine without a registry is not asked anew for every sandbox
_FLAGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-save")


def cached(cache_dir: Path) -> Path | None:
    layer = cache_dir / "npm" / _KEY
    return layer if layer.is_dir() else None


def typescript_layer(cache_dir: Path, environment: Mapping[str, str] | None = None) -> Path | None:
    """A directory with `node_modules` to bind at NODE_DIRECTORY; None where npm cannot fetch it.

    `environment` is what npm sees (registry, proxies, HOME); None for ours as it is.
    """
    layer = cache_dir / "npm" / _KEY
    if layer.is_dir():
        return layer
    npm = shutil.which("npm", path=None if environment is None else environment.get("PATH"))
    if npm is None:
        return None
    deadline = time.monotonic() + _TIMEOUT
    try:
        with locked(cache_dir, _KEY, deadline):
            if layer.is_dir():
                return layer
            return _fetch(npm, layer, environment, deadline) if _due(cache_dir) else None
    except (OSError, subprocess.SubprocessError):  # TimeoutError too
        return None


def _due(cache_dir: Path) -> bool:
    """Whether the last attempt, if there was one, is long ago; this one is noted."""
    note = cache_dir / "npm" / f"{_KEY}.tried"
    make_directory(note.parent)
    if note.exists() and time.time() - note.stat().st_mtime < _RETRY_SECONDS:
        return False
    note.touch()
    return True


def _fetch(
    npm: str, layer: Path, environment: Mapping[str, str] | None, deadline: float
) -> Path | None:
    building = Path(tempfile.mkdtemp(prefix=f"{_KEY}.", dir=layer.parent))
    try:
        process = subprocess.run(
            [npm, "install", *_FLAGS, "--prefix", str(building), f"{_PACKAGE}@{_VERSION}"],
            env=None if environment is None else dict(environment),
            cwd=building,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=max(0.1, deadline - time.monotonic()),
            check=False,
        )
        if process.returncode != 0 or not (building / "node_modules" / _PACKAGE).is_dir():
            return None
        _make_readable(building)
        building.rename(layer)
        return layer
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _make_readable(directory: Path) -> None:
    """For the sandbox's uid, whatever our umask is."""
    for parent, _, names in os.walk(directory):
        Path(parent).chmod(0o755)
        for name in names:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o644)
