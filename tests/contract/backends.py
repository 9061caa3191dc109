"""The backends the contract suite is run on, each ready to make sandboxes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from e2brun.sandbox.contract import Backend
from e2brun.sandbox.e2b import Credentials, E2BBackend
from e2brun.sandbox.local.backend import LocalBackend
from tests.caches import with_ipython
from tests.contract import wheelhouse
from tests.e2b.loopback import KEY, Loopback


@contextmanager
def _local(directory: Path) -> Iterator[Backend]:
    wheels = wheelhouse.fill(directory / "wheels")
    packages = {**os.environ, "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels)}
    backend = LocalBackend(
        cache_directory=str(with_ipython(directory / "cache")), environment=packages
    )
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def _e2b(directory: Path) -> Iterator[Backend]:
    wheels = wheelhouse.fill(directory / "wheels")
    with Loopback() as server:
        server.find_links = str(wheels)
        backend = E2BBackend(Credentials(KEY, server.url, server.url))
        try:
            yield backend
        finally:
            backend.close()


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {
    "local": _local,
    "e2b": _e2b,
}
