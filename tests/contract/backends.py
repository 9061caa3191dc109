"""The backends the contract suite is run on, each ready to make sandboxes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from e2brun.sandbox.contract import Backend
from e2brun.sandbox.local.backend import LocalBackend
from tests.contract import wheelhouse


@contextmanager
def _local(directory: Path) -> Iterator[Backend]:
    wheels = directory / "wheels"
    wheels.mkdir()
    wheelhouse.fill(wheels)
    packages = {**os.environ, "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels)}
    backend = LocalBackend(cache_directory=str(directory / "cache"), environment=packages)
    try:
        yield backend
    finally:
        backend.close()


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {"local": _local}
