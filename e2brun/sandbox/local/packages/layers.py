"""Package layers: a directory of installed wheels for one set of requirements, kept by content.

Finding one again starts no process and imports next to nothing; building one (`build`) resolves
and fetches wheels with uv, within limits. Nothing out of a package is compiled or run on the host:
the compiler works in a sandbox.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from e2brun.sandbox.contract import INSTALL_SECONDS, USUAL_ROOM, Room
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.store import LAYERS, Store
from e2brun.sandbox.requirement import normalized

_FORMAT = 3  # raise it when what is inside a layer changes, so that old ones are not used


class Layers:
    """The package layers under one cache directory.

    `environment` is what uv sees (indexes, proxies, HOME), None for ours as it is; only a
    given one lets pip's variables and the user's uv.toml say where packages come from.
    """

    _STORE = LAYERS  # their directory in the cache, in which uv's own is for all of them

    def __init__(
        self,
        cache_dir: Path,
        environment: Mapping[str, str] | None = None,
        *,
        timeout: float = INSTALL_SECONDS,
        room: Room = USUAL_ROOM,
    ) -> None:
        self._cache_dir, self._store = cache_dir, Store(cache_dir, self._STORE)
        self._environment, self._room = environment, room
        self._timeout = timeout  # seconds for one build, waiting for another's included

    def cached(self, requirements: Collection[str], interpreter: Interpreter) -> Path | None:
        """The layer if it is there already: `layer` would build nothing. What it returns is
        complete, and is not removed while this process lives."""
        return self._store.take(layer_key(requirements, interpreter))

    def layer(self, requirements: Collection[str], interpreter: Interpreter) -> Path:
        """A directory with these packages, as `uv pip install --target` lays them out. Raises
        UsageError for what is no plain requirement, InstallFailed with uv's reason."""
        return self.cached(requirements, interpreter) or self._build(requirements, interpreter)

    def _build(
        self, requirements: Iterable[str], interpreter: Interpreter, start: Path | None = None
    ) -> Path:
        """`start`: with all that is in this layer."""
        from e2brun.sandbox.local.packages.build import LayerBuild

        plain, key = tuple(dict.fromkeys(requirements)), layer_key(requirements, interpreter)
        build = LayerBuild(
            self._cache_dir, plain, interpreter, self._environment, self._room, start
        )
        return build.run(self._store, key, self._timeout)


def layer_key(requirements: Iterable[str], interpreter: Interpreter) -> str:
    """The name of a layer: equal for the same requirements and the same installation."""
    major, minor, _ = interpreter.version
    lines = sorted({_canonical(text) for text in requirements})
    # The executable because the scripts in bin/ start with its path.
    about = (str(_FORMAT), f"{major}.{minor}", interpreter.abi, interpreter.executable)
    identity = "\n".join((*about, *lines))
    return sha256(identity.encode())


def _canonical(text: str) -> str:
    """One spelling for requirements that differ in case, separators and blanks only.

    Two that differ in meaning, or of which one is invalid, never meet: what is not surely
    redundant stays as it is, and at worst a layer is built twice.
    """
    text = " ".join(text.split())
    rest = re.sub(r"^[A-Za-z0-9._-]+", "", text)
    version, semicolon, marker = rest.partition(";")
    if version.strip()[:1] in {"=", "<", ">", "!", "~", "["}:
        version = version.replace(" ", "")
    return f"{normalized(text.removesuffix(rest))}{version.rstrip()}{semicolon}{marker.strip()}"


def sha256(data: bytes) -> str:
    """In hexadecimal, for names of layers."""
    # hashlib loads OpenSSL: 2.5 ms, against 0.2 ms for CPython's own SHA-256.
    module = "_sha2" if sys.version_info >= (3, 12) else "_sha256"
    try:
        digest = __import__(module).sha256(data)
    except (ImportError, AttributeError):  # built without it
        import hashlib

        digest = hashlib.sha256(data)
    return str(digest.hexdigest())
