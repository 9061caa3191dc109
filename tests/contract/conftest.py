"""Wheels made here, and layers of them with the real uv: no network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2brun.sandbox.local.interpreter import Interpreter, current_interpreter
from e2brun.sandbox.local.packages.layers import Layers
from tests.contract.wheelhouse import Registry, fill


@pytest.fixture(scope="session")
def python() -> Interpreter:
    return current_interpreter()


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of tests may have another."""
    return fill(tmp_path_factory.mktemp("wheelhouse") / "wheels")


@pytest.fixture
def environment(wheelhouse: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "HOME": str(tmp_path / "home"),
        "UV_FIND_LINKS": str(wheelhouse),
        "PIP_NO_INDEX": "1",
    }


@pytest.fixture
def layers(tmp_path: Path, environment: dict[str, str]) -> Layers:
    return Layers(tmp_path / "cache", environment, timeout=60)


@pytest.fixture
def registry(wheelhouse: Path) -> Iterator[Registry]:
    registry = Registry(wheelhouse)
    yield registry
    registry.close()
