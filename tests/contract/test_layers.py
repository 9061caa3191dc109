"""Package layers with the real uv, against a wheelhouse made here: no network."""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2brun.errors import InstallFailed, UsageError
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.installed import installed_layer
from e2brun.sandbox.local.packages.layers import Layers, layer_key
from e2brun.sandbox.local.packages.pruning import prune
from e2brun.sandbox.local.pythons import find_interpreter
from tests.contract.wheelhouse import build_elsewhere

_PROCESS_EVENTS = {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"}
_recorded: list[str] | None = None


def _audit(event: str, _: object) -> None:
    if _recorded is not None and event in _PROCESS_EVENTS:
        _recorded.append(event)


sys.addaudithook(_audit)  # once: a hook cannot be taken away again


def run_in(layer: Path, python: Interpreter, code: str) -> str:
    command = [python.executable, "-S", "-c", code]
    environment = {"PYTHONPATH": str(layer)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_layer_has_the_packages_readable_by_everybody_and_compiled(
    layers: Layers, python: Interpreter
) -> None:
    before = os.umask(0o077)
    try:
        layer = layers.layer(["tiny", "binary==1.0"], python)
    finally:
        os.umask(before)
    assert run_in(layer, python, "import tiny; print(tiny.VALUE)") == "42"
    assert list((layer / "tiny" / "__pycache__").glob("*.pyc"))
    assert not (layer / "tiny" / "tests" / "__pycache__").exists()  # half of pandas: left as it is
    assert (layer / "binary" / "core.so").read_text() == "not really"
    for path in [layer, layer.parent, layer.parent.parent, *layer.rglob("*")]:
        assert path.stat().st_mode & 0o7022 == 0, path
        assert path.stat().st_mode & 0o004, path
        assert not path.is_symlink()
    assert not (layer / ".lock").exists()


@pytest.mark.in_turn(day=2)
def test_what_cells_need_is_readable_by_everybody(tmp_path: Path, python: Interpreter) -> None:
    before = os.umask(0o077)
    try:
        layer = installed_layer(tmp_path / "cache", python)
    finally:
        os.umask(before)
    assert layer is not None
    modes = {path.lstat().st_mode & 0o7777 for path in [layer, *layer.rglob("*")]}
    assert modes == {0o755, 0o644}


def test_scripts_start_the_interpreter_itself(layers: Layers, python: Interpreter) -> None:
    script = layers.layer(["tinytool"], python) / "bin" / "tinytool"
    assert script.read_text().splitlines()[0] == f"#!{python.executable}"
    assert subprocess.check_output([script], text=True) == "tool runs\n"


def test_the_second_call_starts_no_process_and_is_quick(
    layers: Layers, python: Interpreter
) -> None:
    global _recorded  # noqa: PLW0603 - an audit hook has no other way out
    first = layers.layer(["tiny", "binary"], python)
    _recorded = []
    try:
        start = time.perf_counter()
        again = [layers.layer(["binary", " Tiny "], python) for _ in range(100)]
        each = (time.perf_counter() - start) / 100
    finally:
        recorded, _recorded = _recorded, None
    assert set(again) == {first}
    assert recorded == []
    assert each < 0.001


def test_the_second_call_imports_next_to_nothing(
    layers: Layers, python: Interpreter, tmp_path: Path
) -> None:
    layers.layer(["tiny"], python)
    code = (
        "import sys, pathlib, e2brun.sandbox.contract\n"  # which every run has
        "before = set(sys.modules)\n"
        "from e2brun.sandbox.local.interpreter import current_interpreter\n"
        "from e2brun.sandbox.local.packages.layers import Layers\n"
        "Layers(pathlib.Path(sys.argv[1])).layer(['tiny'], current_interpreter())\n"
        "print(*(name for name in set(sys.modules) - before if 'e2brun' not in name))\n"
    )
    loaded = subprocess.check_output(
        [sys.executable, "-c", code, str(tmp_path / "cache")], text=True
    ).split()
    loaded = [
        name for name in loaded if name.partition(".")[0] != "importlib"
    ]  # it came with Python
    assert set(loaded) <= {"__future__", "_sha256", "_sha2", "fcntl"}


def test_only_what_is_surely_the_same_has_the_same_layer(python: Interpreter) -> None:
    def key(*requirements: str) -> str:
        return layer_key(requirements, python)

    assert key("Foo_Bar >= 1", "x") == key("x", "foo.bar>=1", "foo--bar >=1 ")
    assert key("a[x, y] == 1 ; os_name == 'posix'") == key("A[x,y]==1;os_name == 'posix'")
    different = [
        "foo bar",
        "foobar",
        "foo",
        "foo==1",
        "foo==1.0",
        "foo;x == 'a b'",
        "foo;x == 'ab'",
    ]
    assert len({key(text) for text in different}) == len(different)
    other = Interpreter("/other/python3", python.version, "/other", (), None, python.abi)
    assert layer_key(["x"], other) != key("x")


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("no-such-package", "no-such-package was not found in the provided package locations"),
        ("tiny==9", "there is no version of tiny==9"),
        ("tiny>=1,<1", "tiny"),
        ("sourceonly", "sourceonly==1.0 has no usable wheels"),
        ("alien", "alien"),
    ],
)
def test_what_cannot_be_installed_is_explained_in_one_line(
    layers: Layers, python: Interpreter, wheelhouse: Path, requirement: str, message: str
) -> None:
    with pytest.raises(InstallFailed, match=message) as caught:
        layers.layer([requirement], python)
    assert "\n" not in str(caught.value)
    assert layers.cached([requirement], python) is None
    assert not (wheelhouse / "it-ran").exists()


@pytest.mark.parametrize(
    "requirement",
    [
        *("-e .", "--index-url=x", "-r x", "./tiny", "/tiny-1.0-py3-none-any.whl", "x y", ""),
        *("git+https://example.com/x", "tiny @ https://me:secret@example.com/tiny.tar.gz"),
        *("tiny @ file:///tmp/tiny", "https://me:secret@example.com/x.whl", "tiny\n-e ."),
    ],
)
def test_nothing_but_a_plain_requirement_reaches_uv(
    layers: Layers, python: Interpreter, tmp_path: Path, requirement: str
) -> None:
    with pytest.raises(UsageError) as caught:
        layers.layer(["tiny", requirement], python)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("place", ["named", "home", "cwd", "environment"])
def test_no_setting_makes_uv_build_a_package(
    environment: dict[str, str],
    python: Interpreter,
    wheelhouse: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    place: str,
) -> None:
    text = 'no-binary-package = ["sourceonly"]\n[pip]\nno-binary = ["sourceonly"]\n'
    directory = {"home": tmp_path / "home/.config/uv", "cwd": tmp_path}.get(place, tmp_path / "x")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "uv.toml").write_text(text)
    if place == "named":
        environment["UV_CONFIG_FILE"] = str(directory / "uv.toml")
    if place == "environment":
        environment |= {"UV_NO_BINARY": "1", "UV_NO_BINARY_PACKAGE": "sourceonly"}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InstallFailed, match="no usable wheels"):
        Layers(tmp_path / "cache", environment).layer(["sourceonly"], python)
    assert not (wheelhouse / "it-ran").exists()


def test_a_file_that_does_not_compile_does_not_cost_the_package(
    layers: Layers, python: Interpreter
) -> None:
    assert (layers.layer(["choking"], python) / "choking.py").exists()


def test_a_marker_that_rules_everything_out_leaves_an_empty_layer(
    layers: Layers, python: Interpreter
) -> None:
    layer = layers.layer(["tiny; python_version < '3'"], python)
    assert layer.is_dir()
    assert [path.name for path in layer.iterdir()] == ["e2brun-cells.pth"]


def test_a_layer_for_another_python_is_its_own(layers: Layers, python: Interpreter) -> None:
    try:
        other = find_interpreter("/usr/bin/python3")
    except UsageError as error:
        pytest.skip(str(error))
    layer = layers.layer(["tinytool"], other)
    script = layer / "bin" / "tinytool"
    assert script.read_text().splitlines()[0] == f"#!{other.executable}"
    if other.executable != python.executable:
        assert layer != layers.layer(["tinytool"], python)


def test_builders_of_one_layer_wait_for_the_first(
    tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    global _recorded  # noqa: PLW0603
    cache = tmp_path / "cache"
    _recorded = []
    try:
        with ThreadPoolExecutor(6) as pool:
            build = functools.partial(Layers.layer, requirements=["tiny"], interpreter=python)
            found = set(pool.map(build, [Layers(cache, environment) for _ in range(6)]))
    finally:
        recorded, _recorded = _recorded, None
    assert len(found) == 1
    assert recorded.count("subprocess.Popen") == 1  # of uv
    assert not list((cache / "building").iterdir())


def test_a_closed_proxy_does_not_hinder_a_layer_that_is_there(
    layers: Layers, tmp_path: Path, python: Interpreter
) -> None:
    first = layers.layer(["tiny"], python)
    cut = {"HTTPS_PROXY": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9", "PATH": ""}
    assert Layers(tmp_path / "cache", cut).layer(["tiny"], python) == first


def test_what_dead_builds_left_is_removed_and_live_ones_are_let_be(
    layers: Layers, tmp_path: Path, python: Interpreter
) -> None:
    building, locks = tmp_path / "cache/building", tmp_path / "cache/locks"
    for name in ("dead", "alive"):
        (building / f"{name}.x" / "layer").mkdir(parents=True)
    locks.mkdir()
    with (locks / "alive").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        layers.layer(["tiny"], python)
        assert [left.name for left in building.iterdir()] == ["alive.x"]
    prune(tmp_path / "cache", 1 << 40)
    assert not list(building.iterdir())


def test_only_layers_nobody_asked_for_are_pruned(
    layers: Layers, environment: dict[str, str], tmp_path: Path, python: Interpreter
) -> None:
    build_elsewhere(tmp_path / "cache", environment, "tiny", "tinytool")
    for layer in (tmp_path / "cache/layers").iterdir():
        os.utime(layer, (1, 1))
    used = layers.cached(["tinytool"], python)
    prune(tmp_path / "cache", 0)
    assert layers.cached(["tiny"], python) is None
    assert layers.cached(["tinytool"], python) == used


def test_a_cache_that_cannot_be_written_is_reported(
    tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallFailed, match="packages cannot be kept in") as caught:
        Layers(tmp_path / "file" / "cache", environment).layer(["tiny"], python)
    assert "E2BRUN_CACHE_DIR" in caught.value.hint


def test_a_full_cache_is_named_and_not_what_was_to_be_copied_there(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from e2brun.sandbox.local.interpreter import current_interpreter\n"
        "from e2brun.sandbox.local.packages.installed import installed_layer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "installed_layer(Path(sys.argv[1]), current_interpreter())\n"
    )
    command = [sys.executable, "-B", "-c", code, str(tmp_path / "cache")]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert f"IPython cannot be kept in {tmp_path / 'cache'}: " in said.splitlines()[-1]
