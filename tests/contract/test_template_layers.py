"""Layers of the default template's packages, which grow: real uv, a wheelhouse made here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2brun.errors import InstallFailed
from e2brun.sandbox.contract import USUAL_ROOM, SandboxSpec
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.pruning import prune
from e2brun.sandbox.local.packages.supply import Packages
from e2brun.sandbox.local.packages.template_layers import TemplateLayers, held
from tests.contract.wheelhouse import wheel


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheels = tmp_path_factory.mktemp("wheels")
    for name in ("tabulate", "xlrd", "pytz", "foreign"):
        wheel(wheels, name, {f"{name}.py": f"NAME = {name!r}\n"})
    for version in ("2.3.1", "2.4.0"):
        wheel(wheels, "numpy", {"numpy.py": f"__version__ = {version!r}\n"}, version=version)
    return wheels


@pytest.fixture
def layers(tmp_path: Path, environment: dict[str, str]) -> TemplateLayers:
    return TemplateLayers(tmp_path / "cache", environment)


def test_a_new_layer_has_what_the_last_one_had_and_serves_for_both(
    layers: TemplateLayers, python: Interpreter
) -> None:
    first = layers.layer(["tabulate"], python)
    second = layers.layer(["xlrd"], python)
    assert held(second) >= {"tabulate", "xlrd"}
    assert layers.layer(["tabulate"], python) == layers.cached(["xlrd"], python) == second
    # The very file: no room is taken twice, and nothing is compiled twice.
    assert (first / "tabulate.py").stat().st_ino == (second / "tabulate.py").stat().st_ino
    assert layers.cached(["tabulate", "pytz"], python) is None
    assert layers.missing(["tabulate", "pytz"], python) == ["pytz"]


def test_versions_are_those_of_the_template(layers: TemplateLayers, python: Interpreter) -> None:
    layer = layers.layer(["numpy"], python)
    assert "2.3.1" in (layer / "numpy.py").read_text()


def test_what_cannot_be_had_leaves_the_nearest(layers: TemplateLayers, python: Interpreter) -> None:
    assert layers.nearest(["tabulate"], python) is None
    layer = layers.layer(["tabulate"], python)
    with pytest.raises(InstallFailed):
        layers.layer(["tabulate", "bokeh"], python)
    assert layers.nearest(["tabulate", "bokeh"], python) == layer
    assert layers.nearest(["bokeh"], python) is None


def test_an_index_that_is_lost_or_broken_costs_no_packages(
    layers: TemplateLayers, python: Interpreter
) -> None:
    layer = layers.layer(["tabulate"], python)
    index = layers.directory / "index"
    for content in (b"", b"\xff\xfe", b"x |\n" * 10, index.read_bytes()[:30]):
        index.write_bytes(content)
        assert layers.layer(["tabulate"], python) == layer


_MAKE = """
import sys
from pathlib import Path
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.template_layers import TemplateLayers
environment = dict(word.split("=", 1) for word in sys.argv[2:])
TemplateLayers(Path(sys.argv[1]), environment).layer(["tabulate"], current_interpreter())
"""


def test_one_that_nobody_uses_is_pruned_and_made_again(
    layers: TemplateLayers, python: Interpreter, environment: dict[str, str], tmp_path: Path
) -> None:
    words = [f"{name}={value}" for name, value in environment.items()]
    command = [sys.executable, "-c", _MAKE, str(tmp_path / "cache"), *words]
    subprocess.run(command, check=True)  # a process keeps what it has used
    (layer,) = (path for path in layers.directory.iterdir() if path.is_dir())
    os.utime(layer, (1, 1))
    prune(tmp_path / "cache", 0)
    assert layers.cached(["tabulate"], python) is None
    assert (layers.layer(["tabulate"], python) / "tabulate.py").exists()


def packages(
    tmp_path: Path, environment: dict[str, str], said: list[str] | None = None
) -> Packages:
    heard = list[str]() if said is None else said
    return Packages(tmp_path / "cache", environment, heard.append, USUAL_ROOM)


def test_what_was_asked_for_decides_the_versions(
    tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    known = packages(tmp_path, environment)

    def version(*install: str) -> str:
        spec = SandboxSpec(install=install, wants=("numpy", "xlrd"), cells=False)
        layer = known.of(spec, python)
        assert layer is not None
        assert (Path(layer) / "xlrd.py").exists()
        return (Path(layer) / "numpy.py").read_text()

    assert "2.3.1" in version("foreign")
    assert "2.4.0" in version("foreign", "numpy")
    assert "2.4.0" in version("foreign", "numpy==2.4")


def test_what_the_template_lacks_here_does_not_cost_what_was_asked_for(
    tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    spec = SandboxSpec(install=("foreign",), wants=("bokeh",), cells=False)
    layer = packages(tmp_path, environment).of(spec, python)
    assert layer is not None
    assert (Path(layer) / "foreign.py").exists()


def test_what_cannot_be_had_is_said_once(
    tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    said: list[str] = []
    known = packages(tmp_path, environment, said)
    for _ in range(3):
        assert known.of(SandboxSpec(wants=("bokeh",), cells=False), python) is None
    assert [line.partition(":")[0] for line in said] == [
        "fetching bokeh of the default template, once",
        "bokeh cannot be had, the code runs without",
    ]


def test_without_fetching_what_is_there_serves(
    tmp_path: Path, environment: dict[str, str], python: Interpreter, layers: TemplateLayers
) -> None:
    said: list[str] = []
    known = packages(tmp_path, environment, said)
    spec = SandboxSpec(wants=("tabulate", "xlrd"), fetch=False, cells=False)
    assert known.of(spec, python) is None
    layer = layers.layer(["tabulate"], python)
    assert known.of(spec, python) == str(layer)
    assert said == []
