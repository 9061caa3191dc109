"""OpenAI's HumanEval: 164 programs as models write them, each with the tests that judge it."""

from __future__ import annotations

import ast
import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Ran, Run

_DATA = Path(__file__).parents[3] / "shared" / "data" / "HumanEval.jsonl.gz"
_AT_A_TIME = 2
_SAMPLE = 14  # every fourteenth

pytestmark = pytest.mark.skipif(
    not _DATA.exists(), reason=f"HumanEval.jsonl.gz is not in {_DATA.parent}"
)


@dataclass(frozen=True)
class Problem:
    """One of them; `solution` is the reference's whole source."""

    name: str
    solution: str
    test: str
    entry_point: str

    def program(self, solution: str | None = None) -> str:
        """What the official harness runs."""
        solution = self.solution if solution is None else solution
        return f"{solution}\n{self.test}\ncheck({self.entry_point})\n"


class _Breaker(ast.NodeTransformer):
    """Every `return` of one function, but not of its inner functions, returns a number that
    is no answer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._depth = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Go into the one that is judged; others stay as they are."""
        if node.name == self._name or self._depth:
            self._depth += node.name == self._name
            if self._depth and node.name != self._name:
                return node
            self.generic_visit(node)
            self._depth -= 1
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """Not what was asked for."""
        wrong = ast.Constant(-7.25)
        return ast.copy_location(ast.Return(value=wrong), node) if self._depth else node


def _problems() -> list[Problem]:
    with gzip.open(_DATA, "rt", encoding="utf-8") as lines:
        return [
            Problem(
                found["task_id"].replace("/", "_"),
                found["prompt"] + found["canonical_solution"],
                found["test"],
                found["entry_point"],
            )
            for found in map(json.loads, lines)
        ]


def _run_all(local: Run, directory: Path, programs: dict[str, str]) -> dict[str, Ran]:
    for name, program in programs.items():
        (directory / f"{name}.py").write_text(program, encoding="utf-8")
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        runs = {name: pool.submit(local, f"{name}.py") for name in programs}
        return {name: run.result() for name, run in runs.items()}


@pytest.mark.parametrize("step", [_SAMPLE, pytest.param(1, marks=pytest.mark.campaign)])
def test_every_reference_solution_passes(local: Run, tmp_path: Path, step: int) -> None:
    problems = _problems()
    assert len(problems) == 164
    problems = problems[::step]
    ended = _run_all(local, tmp_path, {problem.name: problem.program() for problem in problems})
    failed = {name: ran.err for name, ran in ended.items() if ran.code != 0}
    assert failed == {}


def test_a_broken_solution_fails_with_the_line_of_the_assertion(local: Run, tmp_path: Path) -> None:
    broken: dict[str, str] = {}
    for problem in _problems()[::_SAMPLE]:
        tree = _Breaker(problem.entry_point).visit(ast.parse(problem.solution))
        broken[problem.name] = problem.program(ast.unparse(tree))
    assert len(broken) >= 10
    for name, ran in _run_all(local, tmp_path, broken).items():
        assert ran.code == 1, (name, ran.err)
        asserted = [
            line.strip() for line in ran.err.splitlines() if line.strip().startswith("assert ")
        ]
        assert asserted, (name, ran.err)
        assert asserted[-1] in broken[name]
        assert ran.err.splitlines()[-1].startswith("error (AssertionError) · "), (name, ran.err)
