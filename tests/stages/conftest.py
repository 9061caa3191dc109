"""A real embedded sandbox for every test that runs something, and a wheelhouse with pytest."""

from __future__ import annotations

import importlib.metadata
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2brun.sandbox.local.backend import LocalBackend
from tests.caches import with_ipython
from tests.contract.wheelhouse import wheel

_FOR_PYTEST = ("pytest", "pluggy", "iniconfig", "packaging", "pygments")


def _packed(name: str, directory: Path) -> None:
    """The installed distribution as the wheel it came from."""
    found = importlib.metadata.distribution(name)
    file = directory / f"{name}-{found.version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for entry in found.files or ():
            if not str(entry).startswith("..") and "__pycache__" not in str(entry):
                archive.write(str(entry.locate()), str(entry))


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    directory = tmp_path_factory.mktemp("stages")
    wheels = directory / "wheels"
    wheels.mkdir()
    for name in _FOR_PYTEST:
        _packed(name, wheels)
    wheel(wheels, "tiny", {"tiny/__init__.py": "VALUE = 42\n"})
    environment = {**os.environ, "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(wheels)}
    backend = LocalBackend(
        cache_directory=str(with_ipython(directory / "cache")), environment=environment
    )
    yield backend
    backend.close()
