"""Does it compile, for the Python that will run it?"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from e2brun.errors import UsageError
from e2brun.runs.record import Finding, Severity
from e2brun.sandbox.threads import in_thread
from e2brun.stages.child import Bounds, run_child
from e2brun.stages.step import PASSED, Judgement, Validator, judged
from e2brun.stages.validate import compiling

_SECONDS = 20.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Python:
    """Who compiles: another interpreter, or (None) we ourselves, as an older one where asked."""

    executable: str | None = None
    feature_version: tuple[int, int] | None = None
    note: str = ""


@dataclass(frozen=True)
class SyntaxCheck(Validator, step="syntax"):
    """Compiles the candidate and throws the result away.

    `python` is a version (`3.12`) or the path of an interpreter; without it, ours counts. One
    that is not on this machine is imitated as far as ours can. A `cell` may use top-level await
    and magics. More than `max_size` bytes are a finding, as are binaries and sources nested to
    break a parser. What is not Python is skipped.
    """

    python: str | None = None
    cell: bool = False
    max_size: int = _MIB

    gate: ClassVar[bool] = True

    async def looked_at(self, source: bytes, file: str) -> Judgement:
        python = _OURS
        found = self._at_a_glance(source)
        if found is None:
            if self.python is not None:
                name = self.python
                python = await in_thread(lambda: _python(name))
            found = await self._compiled(source, python)
        if found is None:
            return PASSED
        line, column, rule, message = found
        finding = Finding(file, line, column, rule, Severity.HIGH, message + python.note)
        return judged([finding], Severity.LOW)

    def _at_a_glance(self, source: bytes) -> compiling.Problem | None:
        if len(source) > self.max_size:
            return (0, 0, "size", f"{len(source)} bytes of code, more than {self.max_size}")
        place = source.find(b"\0")
        if place >= 0:
            line = source.count(b"\n", 0, place) + 1
            return (line, 0, "binary", "a NUL byte: this is no text")
        return None

    async def _compiled(self, source: bytes, python: _Python) -> compiling.Problem | None:
        if python.executable is None and compiling.is_simple(source):
            return compiling.problem(source, self.cell, python.feature_version)
        argv = (python.executable or sys.executable, "-I", "-S", str(Path(compiling.__file__)))
        words = ("cell",) if self.cell else ()
        ended = await run_child((*argv, *words), source, Bounds(_SECONDS))
        try:
            found: list[int | str] | None = json.loads(ended.stdout)
        except ValueError:
            why = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
            return (0, 0, "nesting", f"it breaks Python's parser ({why})")
        if found is None:
            return None
        return (int(found[0]), int(found[1]), str(found[2]), str(found[3]))


_OURS = _Python()


@lru_cache(maxsize=8)
def _python(name: str) -> _Python:
    """Raises UsageError: there is no such Python, and none that could stand in for it."""
    from e2brun.sandbox.local.pythons import find_interpreter

    own = sys.version_info[:2]
    try:
        found = find_interpreter(name)
    except UsageError:
        digits = name.strip().removeprefix("python").split(".")
        if len(digits) < 2 or not all(digit.isdigit() for digit in digits):
            raise
        version = (int(digits[0]), int(digits[1]))
        ours = ".".join(map(str, own))
        note = f" (judged by Python {ours}: there is no {name} here)"
        return _Python(feature_version=version if version < own else None, note=note)
    return _OURS if found.version[:2] == own else _Python(found.executable)
