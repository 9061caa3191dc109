"""What a command imports: start-up time is a feature, and one import can lose it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import e2brun
from tests.conftest import clean_environment

# A dataclass is compiled when its module is imported, which `frozen` is there to spare `exec`.
GENERATED = {"dataclasses", "inspect"}
# What another process, or nobody, needs for a program in a file: the sandbox is built by a child,
# which has begun with it before the file is read.
LOCAL = "e2brun.sandbox.local"
ELSEWHERE = {
    *("ctypes", "resource", f"{LOCAL}.pythons", f"{LOCAL}.packages", "e2brun.project_files"),
    *(
        f"{LOCAL}.isolation.{name}"
        for name in ("builder", "mounts", "rootfs", "seccomp", "syscalls")
    ),
}
HEAVY = {"asyncio", "e2b", "e2b_code_interpreter", "httpx", "pydantic", "rich", "tomllib", "uv"}
_RUN = """
import os, sys
sys.argv[1:] = {words!r}
from e2brun.__main__ import main
leave = os._exit
def report(code):
    print(*sorted({names!r} & set(sys.modules)), file=sys.stderr, flush=True)
    leave(code)
os._exit = report
main()
"""


def _loaded(words: list[str], names: set[str], directory: Path) -> set[str]:
    code = _RUN.format(words=words, names=names)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(result.stderr.splitlines()[-1].split()) if result.stderr.strip() else set()


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text("print('hello')")
    return tmp_path


@pytest.mark.parametrize(
    "options", [[], ["--on", "local"], ["--quiet"], ["--timeout=5s", "--env", "A=1"]]
)
def test_exec_of_a_file_imports_nothing_heavy_and_not_even_the_parser(
    options: list[str], hello: Path
) -> None:
    loaded = _loaded(
        ["exec", *options, "hello.py"],
        HEAVY | GENERATED | ELSEWHERE | {"typer", "subprocess", "json", "threading"},
        hello,
    )
    assert loaded == set()


def test_exec_of_a_file_imports_few_modules(hello: Path) -> None:
    """A limit to lower: each costs 0.2 ms, and 1 ms where Python may not keep what it compiles."""
    later = f"{LOCAL}.memory.unaccounted"  # with the first look at a program that goes on
    names = {f"e2brun.{name}" for name in _modules()} - {later}
    assert 30 < len(_loaded(["exec", "hello.py"], names, hello)) <= 54


def _modules() -> set[str]:
    package = Path(e2brun.__file__).parent
    paths = (path.relative_to(package).with_suffix("") for path in package.rglob("*.py"))
    return {".".join(path.parts).removesuffix(".__init__") for path in paths}


@pytest.mark.parametrize(
    "words", [["exec", "--quiet", "hello.py"], ["--version"], ["--help"], ["exec", "--help"]]
)
def test_no_command_imports_what_it_does_not_use(words: list[str], hello: Path) -> None:
    assert _loaded(words, HEAVY, hello) == set()


def test_a_cell_and_json_import_nothing_heavy(hello: Path) -> None:
    assert _loaded(["exec", "--json", "-c", "1 + 1"], HEAVY | GENERATED, hello) == set()
