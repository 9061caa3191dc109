from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

import pytest

from e2brun.errors import UsageError
from e2brun.runs.record import Severity, Verdict
from e2brun.stages.step import Together
from e2brun.stages.validate.compiling import is_simple
from e2brun.stages.validate.lint import LintCheck
from e2brun.stages.validate.security import SecurityCheck
from e2brun.stages.validate.syntax import SyntaxCheck
from e2brun.stages.validate.typecheck import TypesCheck
from tests.stages.taking import findings, judged, take

pytestmark = pytest.mark.anyio


async def test_code_that_compiles_passes() -> None:
    assert (await judged(SyntaxCheck(), "print('\\d')\n")).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("code", "line", "rule"),
    [
        ("x = 1\ndef f(:\n", 2, "syntax"),
        ("return 1", 1, "syntax"),
        ("x\ny\0", 2, "binary"),
        ("1\n# \udcff", 2, "binary"),
        ("# coding: no-such\n", 0, "syntax"),
        ("x = " + "9" * 5000, 1, "syntax"),
    ],
)
async def test_what_does_not_compile_is_found(code: str, line: int, rule: str) -> None:
    (finding,) = await findings(SyntaxCheck(), code)
    assert (finding.line, finding.rule, finding.severity) == (line, rule, Severity.HIGH)


@pytest.mark.parametrize(
    "code",
    [
        "(" * 1_000_000,
        "-" * 900_000 + "1",
        "a" + ".a" * 400_000,
        "1" + "+1" * 400_000,
        "lambda:" * 100_000 + "1",
        "x = " + "{" * 50_000,
        "f'" + "{f'" * 5000,
        "if 1:\n" + "".join(f"{' ' * n}if 1:\n" for n in range(1, 500)),
    ],
    ids=range(8),
)
async def test_what_is_nested_to_break_a_parser_is_a_finding_and_no_crash(code: str) -> None:
    assert (await judged(SyntaxCheck(), code)).verdict is Verdict.FAILED


def test_only_what_is_short_and_shallow_is_parsed_in_this_process() -> None:
    assert is_simple(b"x = [(1, {2: 3})]\n" * 100)
    assert not is_simple(b"[" * 41)
    assert not is_simple(b"x = 1\n" * 10_000)
    assert not is_simple(b"(a)" * 10 + b"((" * 25)


@pytest.mark.parametrize("code", ["-" * 20_000 + "1", "a" + ".a" * 20_000])
async def test_a_parser_that_gives_up_in_this_process_does_no_harm(code: str) -> None:
    assert is_simple(code.encode())
    (finding,) = await findings(SyntaxCheck(), code)
    assert finding.rule == "nesting"


async def test_a_huge_source_is_a_finding() -> None:
    (finding,) = await findings(SyntaxCheck(max_size=10), "x = 12345678")
    assert finding.rule == "size"


async def test_a_long_and_honest_source_passes() -> None:
    code = "".join(f"x{n} = [{n}, ({n},)]\n" for n in range(5000))
    assert (await judged(SyntaxCheck(), code)).verdict is Verdict.PASSED


async def test_a_cell_may_await_at_top_level_and_hold_magics() -> None:
    code = "%pip install x\n!ls\nawait f()\n"
    assert (await judged(SyntaxCheck(cell=True), code)).verdict is Verdict.PASSED
    assert (await judged(SyntaxCheck(), code)).verdict is Verdict.FAILED
    assert (await judged(SyntaxCheck(), "await f()")).verdict is Verdict.FAILED


async def test_an_older_python_is_imitated() -> None:
    code = "match x:\n    case 1: pass\n"
    assert (await judged(SyntaxCheck(), code)).verdict is Verdict.PASSED
    record = await judged(SyntaxCheck(python="3.8"), code)
    assert record.verdict is Verdict.FAILED


async def test_an_unknown_python_is_a_mistake_of_usage() -> None:
    with pytest.raises(UsageError):
        await judged(SyntaxCheck(python="/no/such/python"), "x")


async def test_what_is_not_python_is_skipped() -> None:
    record = await judged(SyntaxCheck(), "echo (", file="run.sh")
    assert record.verdict is Verdict.SKIPPED


async def test_after_failed_syntax_nobody_else_looks() -> None:
    step = Together((SyntaxCheck(), LintCheck()))
    work = await take(step, "def f(:")
    assert [s.verdict for s in work.steps] == [Verdict.FAILED, Verdict.SKIPPED]


async def test_lint_finds_and_rates_and_is_not_silenced_by_the_candidate() -> None:
    found = await findings(LintCheck(), "# ruff: noqa\nimport os  # noqa\nprint(undefined)\n")
    assert [(f.rule, f.line, f.severity) for f in found] == [
        ("F401", 2, Severity.MEDIUM),
        ("F821", 3, Severity.HIGH),
    ]


@pytest.mark.parametrize(
    ("make", "extra"),
    [
        (LintCheck, "validate"),
        (partial(SecurityCheck, bandit=True), "validate"),
        (TypesCheck, "types"),
    ],
)
def test_a_tool_that_is_not_installed_is_told_before_anything_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], object], extra: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", dict[str, None]().get)
    with pytest.raises(UsageError, match=rf"not installed: pip install 'e2brun\[{extra}\]'"):
        make()


async def test_lint_passes_below_its_threshold() -> None:
    step = LintCheck(severity=Severity.HIGH)
    assert (await judged(step, "import os\n")).verdict is Verdict.PASSED


async def test_a_source_that_breaks_the_linter_is_a_finding() -> None:
    (finding,) = await findings(LintCheck(), "-" * 100_000 + "1\n")
    assert finding.rule == "unreadable"


async def test_rules_that_do_not_exist_are_a_mistake_of_usage() -> None:
    with pytest.raises(UsageError, match="ruff"):
        await judged(LintCheck(select=("QQQ9",)), "x = 1\n")
    with pytest.raises(UsageError, match="no rule of ruff"):
        LintCheck(select=("E501 --fix",))


async def test_types_are_checked() -> None:
    (finding,) = await findings(TypesCheck(), "\nx: int = 'a'\n")
    assert (finding.line, finding.rule, finding.severity) == (2, "assignment", Severity.MEDIUM)
