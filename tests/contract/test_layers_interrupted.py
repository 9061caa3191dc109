"""Package layers when the network, the clock or a signal gets in the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2brun.errors import InstallFailed
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.layers import Layers
from tests.contract.wheelhouse import Registry
from tests.primitives.backends import processes_of
from tests.waiting import until


@pytest.fixture
def online(tmp_path: Path, registry: Registry) -> dict[str, str]:
    return {"PATH": os.defpath, "HOME": str(tmp_path / "home"), "PIP_INDEX_URL": registry.url}


def test_without_a_network_what_uv_has_in_its_cache_is_installed(
    tmp_path: Path, registry: Registry, online: dict[str, str], python: Interpreter
) -> None:
    cache = tmp_path / "cache"
    first = Layers(cache, online).layer(["tiny"], python)
    registry.close()
    cut = online | {"UV_HTTP_RETRIES": "0"}
    assert Layers(cache, cut).layer(["tiny"], python) == first
    assert Layers(cache, cut).layer(["tiny>=1"], python) != first
    with pytest.raises(InstallFailed, match="registry cannot be reached") as caught:
        Layers(cache, cut).layer(["binary"], python)
    assert "network" in caught.value.hint
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_registry_that_says_no_is_reported_as_such(
    tmp_path: Path, online: dict[str, str], python: Interpreter
) -> None:
    with pytest.raises(InstallFailed, match="nothing-here was not found in the package registry"):
        Layers(tmp_path / "cache", online).layer(["nothing-here"], python)


def test_a_build_that_takes_too_long_is_ended_and_leaves_nothing(
    tmp_path: Path, registry: Registry, online: dict[str, str], python: Interpreter
) -> None:
    registry.hold.clear()
    start = time.monotonic()
    with pytest.raises(InstallFailed, match=r"within 1 s"):
        Layers(tmp_path / "cache", online, timeout=1).layer(["tiny"], python)
    assert time.monotonic() - start < 20
    assert not list((tmp_path / "cache/building").iterdir())
    assert not list((tmp_path / "cache/layers").iterdir())


_BUILDER = """
import json, pathlib, sys
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.layers import Layers
Layers(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])).layer(["tiny"], current_interpreter())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_build_leaves_no_process_and_nothing_taken_for_a_layer(
    tmp_path: Path,
    registry: Registry,
    online: dict[str, str],
    python: Interpreter,
    *,
    number: signal.Signals,
) -> None:
    cache = tmp_path / "cache"
    registry.hold.clear()
    command = [sys.executable, "-c", _BUILDER, str(cache), json.dumps(online)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as builder:
        assert registry.asked.wait(20)
        builder.send_signal(number)
        builder.wait(10)
    until(lambda: not processes_of(str(cache)))  # while the registry holds uv up
    registry.hold.set()
    layers = Layers(cache, online, timeout=20)
    assert layers.cached(["tiny"], python) is None
    layer = layers.layer(["tiny"], python)
    assert (layer / "tiny" / "__init__.py").exists()
    assert not list((cache / "building").iterdir())
