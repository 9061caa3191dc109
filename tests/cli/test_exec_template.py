"""Code finds what E2B's template has: fetched when it is first used, and only then."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.caches import with_ipython
from tests.conftest import Ran, Run
from tests.contract.wheelhouse import wheel
from tests.parity.notebooks import document

Script = Callable[..., Path]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that name a registry of ours, and a cache for the tests of this file."""
    wheels = tmp_path_factory.mktemp("wheels")
    for name in ("tabulate", "xlrd", "outsider"):
        wheel(wheels, name, {f"{name}.py": f"NAME = {name!r}\n"})
    return {
        "UV_FIND_LINKS": str(wheels),
        "UV_NO_INDEX": "1",
        "PIP_NO_INDEX": "1",
        "E2BRUN_CACHE_DIR": str(with_ipython(tmp_path_factory.mktemp("cache"))),
    }


@pytest.fixture
def run(e2brun: Run, index: dict[str, str], tmp_path: Path) -> Run:
    """`e2brun exec --on local`, with a cache of its own for programs (`fresh`)."""

    def exec_(*words: str | Path, fresh: bool = False, env: dict[str, str] | None = None) -> Ran:
        own = {"E2BRUN_CACHE_DIR": str(tmp_path / "cache")} if fresh else {}
        return e2brun("exec", "--on", "local", *words, env={**index, **own, **(env or {})})

    return exec_


def test_a_program_gets_what_it_imports_with_one_line_the_first_time(
    run: Run, script: Script
) -> None:
    program = script("import tabulate, xlrd; print(tabulate.NAME, xlrd.NAME)")
    first, second = run(program, fresh=True), run(program, fresh=True)
    assert (first.code, first.text) == (second.code, second.text) == (0, "tabulate xlrd\n")
    line = "e2brun: fetching tabulate, xlrd of the default template, once"
    assert first.err.splitlines()[0] == line
    assert "fetching" not in second.err


def test_a_name_outside_the_list_is_never_fetched(run: Run, script: Script) -> None:
    ran = run(script("import outsider"), fresh=True)
    assert ran.code == 1
    assert "No module named 'outsider'" in ran.err
    assert "fetching" not in ran.err
    assert "Add --install outsider, or --auto-install." in ran.err


@pytest.mark.parametrize(
    ("words", "env", "file"),
    [
        (["--no-fetch"], {}, ""),
        ([], {"E2BRUN_FETCH": "0"}, ""),
        ([], {}, "[tool.e2brun]\nfetch = false\n"),
        (["--template", "base"], {}, ""),
    ],
)
def test_what_is_not_to_be_fetched_is_missing_with_a_hint(
    words: list[str], env: dict[str, str], file: str, run: Run, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(file)
    ran = run(*words, script("import tabulate"), fresh=True, env=env)
    assert ran.code == 1
    assert "fetching" not in ran.err
    assert "Add --install tabulate, or --auto-install." in ran.err


def test_without_a_registry_the_program_runs_and_the_hint_is_that_of_any_package(
    run: Run, script: Script, tmp_path: Path
) -> None:
    program = script("print('runs', flush=True)\nimport tabulate")
    ran = run(program, fresh=True, env={"UV_FIND_LINKS": str(tmp_path)})
    assert (ran.code, ran.text) == (1, "runs\n")
    assert "e2brun: tabulate cannot be had, the code runs without: " in ran.err
    assert "Add --install tabulate, or --auto-install." in ran.err


def test_modules_of_the_users_own_are_not_the_templates(run: Run, script: Script) -> None:
    own = script("NAME = 'mine'", "tabulate.py")
    ran = run("--file", own, script("import tabulate; print(tabulate.NAME)"), fresh=True)
    assert (ran.code, ran.text) == (0, "mine\n")
    assert "fetching" not in ran.err


def test_what_files_beside_it_import_is_there_too(run: Run, script: Script) -> None:
    helper = script("import xlrd\nNAME = xlrd.NAME", "helper.py")
    ran = run("--file", helper, script("import helper; print(helper.NAME)"), fresh=True)
    assert (ran.code, ran.text) == (0, "xlrd\n")


def test_cells_get_it_and_magics_see_it_installed(run: Run) -> None:
    ran = run("--json", "-c", "%pip install tabulate\nimport tabulate\ntabulate.NAME")
    found = json.loads(ran.out)
    assert found["results"][0]["text"] == "tabulate"
    assert "Requirement already satisfied: tabulate" in found["stdout"]


def test_pip_says_at_once_that_there_is_no_network_and_we_say_what_to_do(run: Run) -> None:
    ran = run("-c", "!pip install outsider\nprint('on')")
    assert "Retrying" not in ran.text + ran.err
    assert ran.text.endswith("on\n")
    assert "No matching distribution found for outsider" in ran.out.decode() + ran.err
    assert "e2brun: the code runs pip install (outsider), and there is no network" in ran.err


def test_with_auto_install_the_lines_are_requirements_and_succeed(run: Run, script: Script) -> None:
    code = "%pip install -q outsider\nimport outsider\nprint(outsider.NAME)"
    ran = run("--auto-install", script(document([code]), "book.ipynb"))
    assert ran.code == 0
    assert ran.text.endswith("outsider\n")
    assert "no network in the sandbox" not in ran.err


def test_a_pipeline_fetches_once_and_not_with_no_fetch(
    e2brun: Run, index: dict[str, str], tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"c{number}.py").write_text("import tabulate; print(tabulate.NAME)")
    (tmp_path / "p.toml").write_text(
        '[pipeline]\nname = "p"\n[generate]\nfiles = ["c*.py"]\n[execute]\n'
    )
    env = {**index, "E2BRUN_CACHE_DIR": str(tmp_path / "cache")}
    words = ("pipeline", "run", "--on", "local", tmp_path / "p.toml")
    without = e2brun(*words, "--no-fetch", env=env)
    assert without.code == 1
    ran = e2brun(*words, env=env)
    assert ran.code == 0, ran.err
    assert (ran.out.decode() + ran.err).count("fetching tabulate") == 1
