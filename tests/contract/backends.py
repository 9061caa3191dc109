"""The backends the contract suite is run on, each ready to make sandboxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from e2brun.sandbox.contract import Backend
from e2brun.sandbox.local.backend import LocalBackend


@contextmanager
def _local(directory: Path) -> Iterator[Backend]:
    backend = LocalBackend(cache_directory=str(directory / "cache"))
    try:
        yield backend
    finally:
        backend.close()


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {"local": _local}
