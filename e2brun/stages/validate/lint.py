"""What ruff says (extra `validate`). The candidate's own `# noqa` and settings do not count."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from e2brun.errors import E2brunError, UsageError
from e2brun.primitives.extras import insist_on
from e2brun.runs.record import Finding, Severity
from e2brun.stages.child import Bounds, Ended, run_child
from e2brun.stages.step import Judgement, Validator, judged
from e2brun.stages.validate.inspection import unreadable
from e2brun.stages.work import MAIN

_SECONDS = 60.0
_MEMORY = 8 * 1024**3  # of addresses: its allocator reserves far more than it uses
_BROKEN = ("E9", "F63", "F7", "F82", "invalid-syntax")
_WRONG = ("F", "B", "S", "PLE", "ASYNC")


@dataclass(frozen=True)
class LintCheck(Validator, step="lint"):
    """Ruff with the rules in `select` (names, imports, errors by default), less those in `ignore`.

    Code that cannot work (E9, F63, F7, F82) is of high severity, likely bugs (F, B, S, PLE,
    ASYNC) of medium, style of low; what reaches `severity` fails the candidate.
    """

    select: tuple[str, ...] = ("E4", "E7", "E9", "F")
    ignore: tuple[str, ...] = ()
    severity: Severity = Severity.LOW
    line_length: int | None = None

    def __post_init__(self) -> None:
        insist_on("ruff", "validate", "lint")
        for code in (*self.select, *self.ignore):
            if not code.isalnum() or not code.isascii():
                raise UsageError(f"lint: {code!r} is no rule of ruff: write them like E501 or F")

    async def looked_at(self, source: bytes, file: str) -> Judgement:
        """Its findings. Raises UsageError: it knows no such rule."""
        argv = (sys.executable, "-I", "-m", "ruff", *self._options(file))
        ended = await run_child(argv, source, Bounds(_SECONDS, memory=_MEMORY))
        if ended.code < 0 or ended.timed_out or ended.too_much:
            message = "it breaks the linter" + (f" (signal {-ended.code})" if ended.code else "")
            return judged([unreadable(file, message)], self.severity)
        return judged([_finding(found, file) for found in _report(ended)], self.severity)

    def _options(self, file: str) -> tuple[str, ...]:
        name = PurePosixPath(file).name or MAIN
        chosen = (
            *(("--select", ",".join(self.select)) if self.select else ()),
            *(("--ignore", ",".join(self.ignore)) if self.ignore else ()),
            *((f"--line-length={self.line_length}",) if self.line_length else ()),
        )
        fixed = ("check", "--isolated", "--no-cache", "--ignore-noqa", "--quiet", "--no-fix")
        return (*fixed, "--output-format=json", *chosen, f"--stdin-filename={name}", "-")


def _report(ended: Ended) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(ended.stdout)
        return found
    except ValueError:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = said[0].removeprefix("error: ") if said else f"exit code {ended.code}"
        if ended.code == 2:  # ruff's for its own settings
            raise UsageError(f"lint: ruff says: {reason}") from None
        raise E2brunError(f"lint: ruff failed: {reason}") from None


def _finding(found: dict[str, Any], file: str) -> Finding:
    code = found["code"] or "invalid-syntax"
    severity = Severity.LOW
    if code.startswith(_BROKEN):
        severity = Severity.HIGH
    elif code.startswith(_WRONG):
        severity = Severity.MEDIUM
    place = found["location"]
    message = found["message"].split("\n")[0]
    return Finding(file, place["row"], place["column"], code, severity, message)
