"""What mypy says (extra `types`)."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2brun.errors import E2brunError, UsageError
from e2brun.primitives.extras import insist_on
from e2brun.runs.record import Finding, Severity
from e2brun.stages.child import Bounds, Ended, run_child
from e2brun.stages.step import Judgement, Validator, judged
from e2brun.stages.validate.inspection import unreadable

_SECONDS = 120.0
_MEMORY = 4 * 1024**3
_SEVERITIES = {"error": Severity.MEDIUM, "warning": Severity.LOW, "note": Severity.LOW}
_OPTIONS = (
    "--output=json", "--config-file=", "--no-incremental", "--cache-dir=/dev/null",
    "--ignore-missing-imports", "--follow-imports=silent", "--no-site-packages",
)  # fmt: skip


@dataclass(frozen=True)
class TypesCheck(Validator, step="types"):
    """Mypy on the candidate alone: packages it imports count as untyped.

    `python` is the version to judge by, like `3.12`; ours without it. Errors are of medium
    severity, notes of low. `# type: ignore` and `# mypy:` comments of the candidate count: this
    is about quality, not about safety.
    """

    strict: bool = False
    severity: Severity = Severity.MEDIUM
    python: str | None = None

    def __post_init__(self) -> None:
        insist_on("mypy", "types", "types")
        numbers = (self.python or "3.11").split(".")
        if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
            raise UsageError(f"types: {self.python!r} is no version: write it like 3.12")

    async def looked_at(self, source: bytes, file: str) -> Judgement:
        with tempfile.TemporaryDirectory(prefix="e2brun-") as place:
            path = Path(place, "candidate.py")
            path.write_bytes(source)  # noqa: ASYNC240 - into the page cache
            argv = (sys.executable, "-I", "-m", "mypy", *self._options(), path.name)
            bounds = Bounds(_SECONDS, memory=_MEMORY)
            ended = await run_child(argv, b"", bounds, directory=path.parent)
        if ended.code < 0 or ended.timed_out or ended.too_much:
            return judged([unreadable(file, "it breaks the type checker")], self.severity)
        return judged(_findings(ended, file), self.severity)

    def _options(self) -> tuple[str, ...]:
        version = (f"--python-version={self.python}",) if self.python else ()
        return (*_OPTIONS, *version, *(("--strict",) if self.strict else ()))


def _findings(ended: Ended, file: str) -> list[Finding]:
    lines = ended.stdout.decode("utf-8", "replace").splitlines()
    try:
        found: list[dict[str, Any]] = [json.loads(line) for line in lines if line.startswith("{")]
    except ValueError:
        found = []
    if ended.code and not found:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines() or lines
        raise E2brunError(f"types: mypy failed: {said[-1] if said else ended.code}")
    return [
        Finding(
            file,
            max(entry["line"], 0),
            max(entry["column"], -1) + 1,
            entry["code"] or "mypy",
            _SEVERITIES.get(entry["severity"], Severity.LOW),
            entry["message"].split("\n")[0],
        )
        for entry in found
    ]
