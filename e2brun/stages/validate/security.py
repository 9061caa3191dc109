"""Does the source reach for what a candidate has no business with? Our own rules and bandit's
(extra `validate`), for which the candidate's own `# nosec` comments do not count."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from e2brun.errors import UsageError
from e2brun.primitives.extras import insist_on
from e2brun.runs.record import Finding, Severity
from e2brun.sandbox.threads import in_thread
from e2brun.stages.child import Bounds, python_main, run_child
from e2brun.stages.step import Judgement, Validator, judged
from e2brun.stages.validate import inspection, rules
from e2brun.stages.validate.compiling import is_simple
from e2brun.stages.validate.inspection import Policy, inspect, unreadable
from e2brun.values import suggestion

_SECONDS = 30.0
_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True)
class SecurityCheck(Validator, step="security"):
    """Findings below `severity` are told and fail nothing; those of a rule in `ignore` (ours, or
    bandit's like B101) are left out. `deny` are more modules that may not be imported; with
    `allow`, no others may. `bandit`: None uses it where it is installed, True insists.
    """

    severity: Severity = Severity.MEDIUM
    ignore: tuple[str, ...] = ()
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    bandit: bool | None = None

    def __post_init__(self) -> None:
        if self.bandit:
            insist_on("bandit", "validate", "security with bandit = true")
        for rule in self.ignore:
            is_bandits = rule[:1] == "B" and rule[1:].isdigit()
            if not is_bandits and rule not in rules.RULES and "{{" not in rule:
                known = suggestion(rule, rules.RULES)
                raise UsageError(f"security: there is no rule {rule!r}{known}")

    async def looked_at(self, source: bytes, file: str) -> Judgement:
        if len(source) > _LIMIT:
            return judged([unreadable(file, "it is too large to be looked through")], self.severity)
        found = await self._own(source, file)
        note = ""
        broken = any(finding.rule == "unreadable" for finding in found)
        if self.bandit or (self.bandit is None and is_installed()):
            found += [] if broken else await bandit(source, file)
        elif self.bandit is None:
            note = "own rules only: bandit is not installed (pip install 'e2brun[validate]')"
        return judged([f for f in found if f.rule not in self.ignore], self.severity, note)

    async def _own(self, source: bytes, file: str) -> list[Finding]:
        policy = Policy(self.allow, self.deny)
        if is_simple(source):
            return inspect(source, policy, file)
        job = json.dumps({"allow": self.allow, "deny": self.deny, "file": file}).encode()
        program = python_main(inspection.__name__)
        ended = await run_child(program, job + b"\n" + source, Bounds(_SECONDS))
        try:
            return [
                replace(finding, severity=Severity(finding.severity))
                for finding in (Finding(**entry) for entry in json.loads(ended.stdout))
            ]
        except ValueError:
            return [unreadable(file, "it breaks Python's parser")]


_BANDIT_SECONDS = 60.0
_BANDIT_MEMORY = 4 * 1024**3
_MODULE = "bandit"
_lock = threading.Lock()  # its tables are the process's


_Issue = dict[str, Any]  # as bandit writes it


def is_installed() -> bool:
    return importlib.util.find_spec(_MODULE) is not None


async def bandit(source: bytes, file: str) -> list[Finding]:
    """What it says; it is installed."""
    with tempfile.TemporaryDirectory(prefix="e2brun-") as place:
        path = Path(place, "candidate.py")
        path.write_bytes(source)  # noqa: ASYNC240 - small, and into the page cache
        if is_simple(source):
            issues = await in_thread(lambda: _here(str(path)))
        else:
            issues = await _in_a_child(path)
    if issues is None:
        return [unreadable(file, "bandit cannot read it")]
    return [
        Finding(
            file,
            issue["line_number"],
            issue["col_offset"] + 1,
            issue["test_id"],
            _severity(issue["issue_severity"]),
            issue["issue_text"].split("\n")[0],
        )
        for issue in issues
    ]


def _here(path: str) -> list[_Issue] | None:
    """In this process: a tenth of the time. None: it gave up."""
    core = importlib.import_module(f"{_MODULE}.core.manager")
    config = importlib.import_module(f"{_MODULE}.core.config")
    with _lock:
        manager = core.BanditManager(config.BanditConfig(), "file", ignore_nosec=True, quiet=True)
        manager.files_list = [path]
        manager.run_tests()
        if manager.skipped:
            return None
        return [issue.as_dict() for issue in manager.results]


async def _in_a_child(path: Path) -> list[_Issue] | None:
    argv = (sys.executable, "-I", "-m", _MODULE)
    options = ("-q", "-f", "json", "--ignore-nosec", "--exit-zero", path.name)
    bounds = Bounds(_BANDIT_SECONDS, memory=_BANDIT_MEMORY)
    ended = await run_child((*argv, *options), b"", bounds, directory=path.parent)
    try:
        report = json.loads(ended.stdout)
        issues: list[_Issue] = report["results"]
        return None if report["errors"] else issues
    except (ValueError, KeyError, TypeError):
        return None


def _severity(name: str) -> Severity:
    try:
        return Severity(name.lower())
    except ValueError:  # UNDEFINED
        return Severity.LOW
