"""Rules among requirements reach uv: an index on loopback that has two versions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2brun.errors import InstallFailed
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.layers import Layers
from tests.contract.wheelhouse import wheel
from tests.indexes import Answer, index_served

_TIMES = {"1.0": "2024-01-01T00:00:00Z", "2.0": "2025-06-01T00:00:00Z"}


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Layers]:
    with index_served() as index:
        files: list[dict[str, object]] = []
        for version, time in _TIMES.items():
            file = wheel(tmp_path, "two", {"two.py": f"VERSION = {version!r}\n"}, version=version)
            index.pages[f"/{file.name}"] = Answer(file.read_bytes())
            about = {"filename": file.name, "hashes": {}, "upload-time": time}
            files.append({**about, "url": f"/{file.name}"})
        meta = {"meta": {"api-version": "1.1"}, "name": "two", "versions": list(_TIMES)}
        index.json("/simple/two/", {**meta, "files": files})
        home = {"PATH": os.defpath, "HOME": str(tmp_path)}
        yield Layers(
            tmp_path / "cache", {**home, "UV_DEFAULT_INDEX": f"{index.url}/simple"}, timeout=60
        )


def version(layers: Layers, *requirements: str) -> str:
    return (layers.layer(requirements, current_interpreter()) / "two.py").read_text()


def test_rules_choose_the_version_and_have_layers_of_their_own(layers: Layers) -> None:
    assert "2.0" in version(layers, "two")
    assert "1.0" in version(layers, "two", "--constraint two<2")
    assert "1.0" in version(layers, "two", "--exclude-newer 2025-01-01")
    assert "1.0" in version(layers, "two", "--exclude-newer-package two=2025-01-01")
    assert "1.0" in version(layers, "two>=2", "--override two==1.0")
    assert "2.0" in version(layers, "two")
    with pytest.raises(InstallFailed):
        version(layers, "two>=2", "--constraint two<2")
