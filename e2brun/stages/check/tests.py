"""A pytest file of the author's, run in the sandbox beside the candidate.

Its process imports the candidate, so a candidate that sets out to can forge what it reports:
this finds wrong code, not dishonest code. What can be told is: each test function of the file has
to be in the report, and pytest itself has to have ended well.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from e2brun.errors import E2brunError, UsageError
from e2brun.runs.record import Finding, Severity, Verdict
from e2brun.sandbox.contract import HOME, Upload
from e2brun.stages.check.junit import BadReport, TestCase, read_report
from e2brun.stages.step import Check, Judgement, executed, failed
from e2brun.stages.work import Probe, Probed, Work

_REPORT = f"{HOME}/.e2brun-tests.xml"
_ALIAS = "candidate.py"
_OPTIONS = (
    "-q", "--tb=short", "-p", "no:cacheprovider", f"--rootdir={HOME}", "-c", "/dev/null",
    "-o", "junit_family=xunit1", f"--junitxml={_REPORT}",
)  # fmt: skip
_USAGE = {3: "internal error", 4: "wrong usage"}


@dataclass(frozen=True)
class TestsCheck(Check, step="tests"):
    """Runs `file` with pytest after the candidate, in the same sandbox.

    The candidate can be imported by its own name (`main` for generated code) and as `candidate`.
    `args` go to pytest; `install` is what it needs there.
    """

    __test__: ClassVar[bool] = False  # it is no test of ours

    file: Path
    timeout: float = 60.0
    args: tuple[str, ...] = ()
    install: tuple[str, ...] = ("pytest",)

    def __post_init__(self) -> None:
        if self.file.suffix != ".py":
            raise UsageError(f"tests: {self.file}: a file of tests ends in .py")

    @property
    def _key(self) -> str:
        return f"tests {self.file} {' '.join(self.args)}"

    def probe(self, work: Work) -> Probe:
        """Pytest with the file, and the candidate as it was before it ran."""
        source = work.source()
        if self.file.name in {source.inside, _ALIAS}:
            raise UsageError(f"tests: {self.file.name} is the candidate's name as well")
        with UsageError.of_system(f"tests: {self.file}"):
            tests = self.file.read_bytes()
        names = dict.fromkeys((source.inside, _ALIAS))
        files = (
            *(Upload(f"{HOME}/{name}", source.content) for name in names),
            Upload(f"{HOME}/{self.file.name}", tests),
        )
        argv = ("python3", "-m", "pytest", *_OPTIONS, *self.args, f"{HOME}/{self.file.name}")
        return Probe(self._key, argv, files, _REPORT, self.timeout, self.install)

    async def judge(self, work: Work) -> Judgement:
        executed(work)
        probed = work.probed.get(self._key)
        if probed is None:
            return Judgement(Verdict.SKIPPED, "the tests did not run: the program did not end well")
        _check_pytest(probed)
        if probed.outcome not in {"ok", "error"}:
            reason = probed.detail or probed.outcome
            return failed(f"the tests did not come to an end: {reason}", _tail(probed))
        try:
            cases = read_report(probed.report.content or b"")
        except BadReport as error:
            return failed(f"the tests left no report that can be read: {error}", _tail(probed))
        return self._judged(cases, probed)

    def _judged(self, cases: list[TestCase], probed: Probed) -> Judgement:
        bad = [case for case in cases if case.status == "failed"]
        findings = tuple(self._finding(case) for case in bad[:200])
        if bad:
            first = f"{bad[0].name}: {_summary(bad[0])}"
            message = f"{len(bad)} of {len(cases)} tests failed: {first}"
            details = "\n\n".join(f"{case.name}\n{case.text.strip()}" for case in bad[:10])
            return Judgement(Verdict.FAILED, message, details[:20_000], findings)
        expected: set[str] = set() if self.args else _test_names(self.file)
        missing = expected - {case.name.split("[")[0] for case in cases}
        if missing:
            return failed(f"these tests did not run: {', '.join(sorted(missing))}", _tail(probed))
        passed = sum(case.status == "passed" for case in cases)
        if probed.exit_code != 0 or not passed:
            problem = "no test was run" if not cases else f"pytest ended with {probed.exit_code}"
            return failed(problem, _tail(probed))
        skipped = f", {len(cases) - passed} skipped" if len(cases) > passed else ""
        return Judgement(Verdict.PASSED, f"{passed} tests passed{skipped}")

    def _finding(self, case: TestCase) -> Finding:
        """At the last line of the file that the failure went through."""
        places = re.findall(rf"(?m)^(?:\S*/)?{re.escape(self.file.name)}:(\d{{1,9}}): ", case.text)
        line = int(places[-1]) if places else 0
        return Finding(str(self.file), line, 0, case.name, Severity.HIGH, _summary(case))


def _check_pytest(probed: Probed) -> None:
    """Raises E2brunError: there is no pytest, or it was asked for what it cannot do."""
    if "No module named pytest" in probed.stderr and probed.report.content is None:
        raise E2brunError("tests: there is no pytest in the sandbox", hint='Add it to "install".')
    if probed.exit_code in _USAGE and probed.report.content is None:
        said = probed.stderr.strip().splitlines() or [_USAGE[probed.exit_code]]
        raise E2brunError(f"tests: pytest says: {said[0]}")


def _summary(case: TestCase) -> str:
    lines = [line.strip() for line in case.message.splitlines() if line.strip()]
    return lines[0][:300] if lines else "failed"


def _tail(probed: Probed) -> str:
    return "\n".join(part[-2000:] for part in (probed.stdout, probed.stderr) if part)


def _test_names(file: Path) -> set[str]:
    """The test functions of the author's own file, as far as they are plain to see."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return set()  # pytest will have said so
    suites = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name.startswith("Test")]
    bodies = [tree.body, *(suite.body for suite in suites)]
    return {
        node.name
        for body in bodies
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    }
