"""Which layers are used, and which ones the cache keeps."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from e2brun.errors import InstallFailed
from e2brun.sandbox.contract import MIB, Room
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.layers import Layers
from e2brun.sandbox.local.packages.pruning import prune
from tests.contract.wheelhouse import build_elsewhere, disk_usage, wheel

_ROOM = Room(64 * MIB, 20 * MIB)


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheels = tmp_path_factory.mktemp("wheels")
    for name in ("a", "b", "c"):
        wheel(wheels, name, {f"{name}/data": os.urandom(8 * MIB), f"{name}/__init__.py": ""})
    return wheels


@pytest.fixture
def layers(tmp_path: Path, environment: dict[str, str]) -> Layers:
    return Layers(tmp_path / "cache", environment, room=_ROOM)


def test_what_was_used_least_recently_makes_room_for_what_is_new(
    layers: Layers, tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    cache = tmp_path / "cache"
    build_elsewhere(cache, environment, "a", room=_ROOM)
    time.sleep(0.05)
    build_elsewhere(cache, environment, "b", room=_ROOM)
    time.sleep(0.05)
    build_elsewhere(cache, environment, "a", room=_ROOM)  # is there: used once more
    build_elsewhere(cache, environment, "c", room=_ROOM)
    assert disk_usage(cache) <= _ROOM.cache
    assert layers.cached(["b"], python) is None
    assert layers.cached(["a"], python)
    assert layers.cached(["c"], python)
    # uv has lost the archive of b, and gets it again.
    assert (layers.layer(["b"], python) / "b/data").stat().st_size == 8 * MIB


def test_what_a_living_process_uses_stays(
    layers: Layers, tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    used = layers.layer(["a"], python)
    os.utime(used.parent, (1, 1))
    for name in ("b", "c"):  # by processes that have ended since
        build_elsewhere(tmp_path / "cache", environment, name, room=_ROOM)
    assert (used / "a/data").exists()
    assert layers.cached(["b"], python) is None


def test_whole_buckets_of_uv_can_go(
    layers: Layers, tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    build_elsewhere(tmp_path / "cache", environment, "a", room=_ROOM)
    prune(tmp_path / "cache", 0)
    assert not list((tmp_path / "cache/uv").glob("*/*"))
    assert layers.cached(["a"], python) is None
    assert layers.layer(["a"], python)


@pytest.mark.parametrize("what", ["layer", "packages", "unfinished"])
def test_a_layer_that_others_could_have_changed_is_made_anew(
    layers: Layers, environment: dict[str, str], tmp_path: Path, python: Interpreter, what: str
) -> None:
    layer = layers.layer(["a"], python)
    (layer / "a/planted.py").write_text("")
    if what == "unfinished":
        (layer.parent / "manifest").unlink()
    else:
        (layer if what == "packages" else layer.parent).chmod(0o777)
    assert layers.cached(["a"], python) is None
    again = Layers(tmp_path / "cache", environment).layer(["a"], python)
    assert again == layer
    assert not (again / "a/planted.py").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_layer_of_another_user_is_made_anew(layers: Layers, python: Interpreter) -> None:
    layer = layers.layer(["a"], python)
    os.chown(layer, 12345, 12345)
    assert layers.cached(["a"], python) is None
    assert layers.layer(["a"], python).stat().st_uid == 0


def test_a_cache_that_others_can_write_to_is_refused(
    layers: Layers, tmp_path: Path, python: Interpreter
) -> None:
    (tmp_path / "cache/layers").mkdir(parents=True)
    (tmp_path / "cache/layers").chmod(0o777)
    with pytest.raises(InstallFailed, match="others can write to it") as caught:
        layers.layer(["a"], python)
    assert "E2BRUN_CACHE_DIR" in caught.value.hint
