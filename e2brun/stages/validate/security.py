"""Does the source reach for what a candidate has no business with?"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from e2brun.errors import UsageError
from e2brun.primitives.extras import insist_on
from e2brun.runs.record import Finding, Severity
from e2brun.stages.child import Bounds, python_main, run_child
from e2brun.stages.step import Judgement, Validator, judged
from e2brun.stages.validate import inspection, rules
from e2brun.stages.validate.bandit import bandit, is_installed
from e2brun.stages.validate.compiling import is_simple
from e2brun.stages.validate.inspection import Policy, inspect, unreadable
from e2brun.values import suggestion

_SECONDS = 30.0
_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True)
class SecurityCheck(Validator, step="security"):
    """Our own rules on the syntax tree, and bandit's.

    Findings below `severity` are told and fail nothing; those of a rule in `ignore` (ours, or
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
