"""The suites that install packages and prepare runs, once more as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.probing import NOBODY, Probe, system_python

_ROOT = Path(__file__).parents[2]
_SUITES = [
    "attack/test_hostile_program.py",
    "attack/test_own_root.py",
    "contract/test_packages_hostile.py",
    "contract/test_template_layers.py",
    "cli/test_exec_template.py::test_a_program_gets_what_it_imports_with_one_line_the_first_time",
    "pipeline/test_jobs.py::test_a_program_sees_the_same_in_the_first_case_the_last_one_and_exec",
]
_NEEDED = "import pytest, typer, pydantic, hypothesis, e2brun.cli.app"


@pytest.fixture(scope="module")
def command(probes: dict[str, Probe], shared_directory: Path) -> list[str]:
    """A Python of another user's that has all the tests need, and finds our copy of e2brun."""
    if "root" not in probes:
        pytest.skip("the suites are run by an ordinary user as it is")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    path = ":".join([str(shared_directory), *packages])
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(shared_directory / "home"),
    }
    words = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
    words += ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", system_python()]
    done = subprocess.run([*words, "-c", _NEEDED], cwd="/", capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("no Python here with which another user could run the tests")
    shutil.copytree(_ROOT / "tests", shared_directory / "tests", dirs_exist_ok=True)
    shutil.copy(_ROOT / "pyproject.toml", shared_directory)
    subprocess.run(["chmod", "-R", "a+rX", str(shared_directory)], check=True)
    for name in ("home", "scratch"):
        (shared_directory / name).mkdir(exist_ok=True)
        (shared_directory / name).chmod(0o1777)
    return words


@pytest.mark.in_turn(day=2)
def test_they_pass_as_an_ordinary_user(command: list[str], shared_directory: Path) -> None:
    # Of the drivers one: the other suites that are named here use bubblewrap. What only
    # takes long takes everybody as long.
    options = [
        "-q",
        "-k",
        "not Bubblewrap and not overworks and not deeper",
        "-p",
        "no:cacheprovider",
        f"--basetemp={shared_directory / 'scratch' / 'all'}",
    ]
    done = subprocess.run(
        [*command, "-m", "pytest", *options, *(f"tests/{suite}" for suite in _SUITES)],
        cwd=shared_directory,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
