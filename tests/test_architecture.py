"""The layers of DESIGN.md, and what may be imported where, read from the source itself."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "e2brun"
# Each may import what stands in a later row; rows of one tuple never import each other.
LAYERS = (
    ("cli",),
    ("report", "server", "pipeline", "batch"),
    ("stages",),
    ("primitives",),
    ("runs",),
    ("jobs",),
    ("sandbox",),
    ("settings", "values"),
    ("loosened",),
    ("errors",),
    ("frozen",),
)
# pipeline > stages > primitives: report draws what all of them record, so it stands beside them.
EXCEPTIONS = {("settings", "values")}
AGENT = PACKAGE / "sandbox" / "local" / "agent"
LAUNCHER = PACKAGE / "sandbox" / "e2b" / "launcher.py"  # runs inside, too
ENTRY = {"__init__", "__main__"}


def _level(part: str) -> int:
    for number, layer in enumerate(LAYERS):
        if part in layer:
            return number
    raise AssertionError(f"e2brun/{part} stands in no layer")


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_there_is_code_to_look_at() -> None:
    assert len(_modules()) > 30


def test_every_import_goes_down() -> None:
    wrong: list[str] = []
    for path in _modules():
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part in ENTRY or path.is_relative_to(AGENT):
            continue
        for line, name in _imports(path):
            words = name.split(".")
            if words[0] != "e2brun" or len(words) < 2 or words[1] == part:
                continue
            if (part, words[1]) not in EXCEPTIONS and _level(words[1]) <= _level(part):
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {part} imports {words[1]}")
    assert wrong == []


def test_the_agent_imports_nothing_but_the_standard_library() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in (*sorted(AGENT.rglob("*.py")), LAUNCHER)
        for line, name in _imports(path)
        if not name.startswith(".")
        and name.split(".")[0] not in {*sys.stdlib_module_names, "_ctypes", "_signal", "_socket"}
        # Looked for in the user's own packages, and done without where it is not.
        and name.split(".")[0] not in {"e2b_charts", "IPython", "matplotlib"}
    ]
    assert wrong == []


def test_only_settings_reads_the_environment() -> None:
    readers = {
        path.relative_to(PACKAGE).as_posix()
        for path in _modules()
        if not path.is_relative_to(AGENT) and path != LAUNCHER
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv"})
    }
    assert readers <= {"settings.py"}


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_holds_more_than_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
