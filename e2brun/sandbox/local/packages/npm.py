"""The npm package that strips types from TypeScript cells, fetched once and kept in the cache. No
script of a package runs. Sandboxes see it read-only, at `jail.NODE_DIRECTORY`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from e2brun.errors import InstallFailed
from e2brun.sandbox.local.packages.store import NPM, Store
from e2brun.sandbox.local.packages.tree import check
from e2brun.sandbox.process_group import TIED_TO_US

_PACKAGE = "@swc/wasm-typescript"
_VERSION = "1.16.2"
_KEY = f"swc-wasm-typescript-{_VERSION}"
_TIMEOUT = 60.0
_RETRY_SECONDS = 600.0  # a machine without a registry is not asked anew for every sandbox
_TIED = f"{TIED_TO_US}os.execv(sys.argv[2], sys.argv[2:])"
_FLAGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-save")


def cached(cache_dir: Path) -> Path | None:
    """What `typescript_layer` would find."""
    return Store(cache_dir, NPM).take(_KEY)


def typescript_layer(cache_dir: Path, environment: Mapping[str, str] | None = None) -> Path | None:
    """A directory with `node_modules` to bind at NODE_DIRECTORY; None where npm cannot fetch it.
    `environment` is what npm sees (registry, proxies, HOME); None for ours as it is."""
    if (found := cached(cache_dir)) is not None:
        return found
    npm = shutil.which("npm", path=None if environment is None else environment.get("PATH"))
    if npm is None:
        return None

    def fill(packages: Path, lock: int, deadline: float) -> None:
        _note_attempt(cache_dir)
        _fetch(npm, packages, environment, lock, deadline)

    try:
        return Store(cache_dir, NPM).make(_KEY, "what TypeScript needs", _TIMEOUT, fill)
    except (InstallFailed, subprocess.SubprocessError):
        return None


def _note_attempt(cache_dir: Path) -> None:
    """Raises InstallFailed where the last one was not long ago."""
    note = cache_dir / NPM / f"{_KEY}.tried"
    if note.exists() and time.time() - note.stat().st_mtime < _RETRY_SECONDS:
        raise InstallFailed("npm has failed")
    note.touch()


def _fetch(
    npm: str, target: Path, environment: Mapping[str, str] | None, lock: int, deadline: float
) -> None:
    tied = [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid())]
    process = subprocess.run(
        [*tied, npm, "install", *_FLAGS, "--prefix", str(target), f"{_PACKAGE}@{_VERSION}"],
        env=None if environment is None else dict(environment),
        cwd=target,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(lock,),
        umask=0o022,  # for the sandbox's uid, whatever ours is
        timeout=max(0.1, deadline - time.monotonic()),
        check=False,
    )
    if process.returncode != 0 or not (target / "node_modules" / _PACKAGE).is_dir():
        raise InstallFailed("npm has failed")
    check(target)
