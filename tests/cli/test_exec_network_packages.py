"""`--network packages`: pip and npm inside reach what this machine's settings name."""

from __future__ import annotations

import ensurepip
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.caches import with_ipython
from tests.conftest import Ran, Run
from tests.contract.wheelhouse import wheel
from tests.indexes import Answer, Index, index_served
from tests.parity.notebooks import document
from tests.pipeline.conftest import Place

Script = Callable[..., Path]
_PIP = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"), None)
needs_pip = pytest.mark.skipif(_PIP is None, reason="this Python comes without pip's wheel")


needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    with index_served() as running:
        yield running


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, index: Index) -> dict[str, str]:
    """Variables that name indexes of ours, and a cache for the tests of this file."""
    wheels = tmp_path_factory.mktemp("wheels")
    wheel(wheels, "outsider", {"outsider.py": "VALUE = 42\n"})
    if _PIP is not None:
        shutil.copy(_PIP, wheels)
    return {
        "UV_FIND_LINKS": str(wheels),
        "UV_NO_INDEX": "1",
        "UV_NO_CONFIG": "1",
        "npm_config_registry": f"{index.url}/npm/",
        "E2BRUN_CACHE_DIR": str(with_ipython(tmp_path_factory.mktemp("cache"))),
    }


@pytest.fixture
def run(e2brun: Run, settings: dict[str, str]) -> Run:
    def exec_(*words: str | Path, **how: object) -> Ran:
        return e2brun("exec", "--on", "local", "--timeout", "2m", *words, env=settings, **how)

    return exec_


@needs_pip
def test_a_program_starts_pip_and_imports_what_it_brought(run: Run, script: Script) -> None:
    code = "import os; os.system('p=pi; ${p}p install -q outsider'); import outsider as o\n"
    code += "print(o.VALUE)"
    ran = run("--network", "packages", script(code))
    assert (ran.code, ran.text) == (0, "42\n"), ran.err


@pytest.mark.in_turn(day=0)
@needs_pip
def test_a_cell_installs_for_the_kernel_that_runs_it(run: Run) -> None:
    code = "!pip install -q outsider\nimport outsider\noutsider.VALUE"
    ran = run("--network", "packages", "-c", code)
    assert ran.code == 0, ran.err
    assert "42" in ran.text
    assert "there is no network" not in ran.err
    told = run("-c", code)
    assert "add --auto-install, --install or --requirements, or --network packages" in told.err


@pytest.fixture
def tiny(index: Index) -> None:
    """A package of the registry, whose value is 42."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in (
            ("package.json", '{"name": "tiny", "version": "1.0.0"}'),
            ("index.js", "module.exports = 42"),
        ):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    dist = {"tarball": f"{index.url}/npm/tiny/-/tiny-1.0.0.tgz"}
    version = {"name": "tiny", "version": "1.0.0", "dist": dist}
    document = {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    index.json("/npm/tiny", document)
    index.pages["/npm/tiny/-/tiny-1.0.0.tgz"] = Answer(packed.getvalue())


@needs_npm
@pytest.mark.usefixtures("tiny")
def test_npm_installs_from_the_registry_of_this_machine(run: Run, script: Script) -> None:
    code = "npm install --silent -g tiny && NODE_PATH=$(npm root -g) "
    code += "node -e 'console.log(require(\"tiny\"))'"
    ran = run("--network", "packages", script(code, "prog.sh"))
    assert (ran.code, ran.text.splitlines()[-1:]) == (0, ["42"]), ran.err


@pytest.mark.in_turn(day=2)
@needs_npm
@pytest.mark.usefixtures("tiny")
def test_a_javascript_cell_imports_what_npm_has(run: Run, script: Script) -> None:
    code = "import tiny from 'npm:tiny@1'\ntiny + 1"
    path = script(document([code], "javascript"), "cells.ipynb")
    ran = run("--network", "packages", path)
    assert ran.code == 0, ran.err
    assert "43" in ran.text
    told = run(path)
    assert told.code == 1
    assert "Cannot find package 'tiny'" in told.err
    assert "npm could not install it: " in told.err


@needs_npm
def test_npm_does_not_try_again_where_there_is_no_network(run: Run, script: Script) -> None:
    ran = run(script("npm config get fetch-retries; npm install tiny", "prog.sh"))
    assert ran.text == "0\n"
    assert "There is no network in the sandbox: allow it with --network." in ran.err


def test_a_pipeline_and_the_environment_say_it_too(
    tmp_path: Path, settings: dict[str, str], e2brun: Run, script: Script
) -> None:
    place = Place(tmp_path, e2brun)
    code = "import os, urllib.request as u; u.urlopen(os.environ['PIP_INDEX_URL'] + 'outsider/')"
    place.write(code, "prog.py")
    text = '[pipeline]\nname = "p"\n[sandbox]\nnetwork = {}\n[generate]\nfiles = ["prog.py"]\n'
    for value, verdict in (('"packages"', "passed"), ("false", "failed")):
        place.write(text.format(value) + "[execute]\n")
        ran = place.pipeline("run", "--json", "p.toml", env=settings)
        assert [case["verdict"] for case in json.loads(ran.out)["cases"]] == [verdict], ran.err
    place.write(text.format('"some"') + "[execute]\n")
    ran = place.pipeline("run", "p.toml")
    assert ran.code == 2
    assert "p.toml:4: sandbox.network: 'some' is no network: write none, packages" in ran.err
    named = {**settings, "E2BRUN_NETWORK": "packages"}
    assert e2brun("exec", "--on", "local", script(code), env=named).code == 0
