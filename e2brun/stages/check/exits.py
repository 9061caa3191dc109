"""How the program ended, and how much it used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from e2brun.errors import UsageError
from e2brun.runs.record import Verdict
from e2brun.sandbox.contract import MIB
from e2brun.stages.check.difference import excerpt
from e2brun.stages.step import PASSED, Check, Judgement, executed, failed
from e2brun.stages.work import Work


@dataclass(frozen=True)
class ExitCode(Check, step="exit_code"):
    """The exit code is `equals`, or one of them. A cell that raised counts as 1."""

    equals: int | str | tuple[int | str, ...] = 0

    values: ClassVar[frozenset[str]] = frozenset({"equals"})
    judges_exit: ClassVar[bool] = True

    async def judge(self, work: Work) -> Judgement:
        record = executed(work)
        given = self.equals if isinstance(self.equals, tuple) else (self.equals,)
        wanted = [_code(code) for code in given]
        code = record.exit_code
        if code is None:
            code = 0 if record.outcome == "ok" else 1
        if code in wanted:
            return PASSED
        message = f"exit code {code}, not {' or '.join(map(str, wanted))}"
        if record.error and code:
            message += f": {record.error}"
        return failed(message, record.traceback or excerpt(record.stderr))


def _code(given: int | str) -> int:
    try:
        return int(given)
    except ValueError:
        raise UsageError(f"exit_code: {given!r} is no exit code") from None


@dataclass(frozen=True)
class Completed(Check, step="completed"):
    """The code ran to its last line: it did not leave before, whatever its exit code says.

    Of a Python program this is told by the process that started it, with a secret of that run
    alone; of cells, by how they ended. It finds `exit()`, `os._exit(0)`, an `atexit` hook that
    turns a failure into a 0. Code that sets out to forge it runs in the same interpreter and can.
    """

    asks_for_end: ClassVar[bool] = True

    async def judge(self, work: Work) -> Judgement:
        early = executed(work).early_end
        return failed(early) if early else PASSED


@dataclass(frozen=True)
class NoStderr(Check, step="no_stderr"):
    """Nothing came on stderr."""

    async def judge(self, work: Work) -> Judgement:
        text = executed(work).stderr
        return PASSED if not text else failed("there is output on stderr", excerpt(text))


@dataclass(frozen=True)
class MaxTime(Check, step="max_time"):
    """It took at most `seconds`, from start to end of the code itself."""

    seconds: float

    async def judge(self, work: Work) -> Judgement:
        record = executed(work)
        took = f"{record.execution_time:.3f} s"
        if record.execution_time <= self.seconds:
            return Judgement(Verdict.PASSED, took)
        return failed(f"took {took}, at most {self.seconds:g} s")


@dataclass(frozen=True)
class MaxMemory(Check, step="max_memory"):
    """It used at most `size` bytes, where the backend tells; skipped where it does not."""

    size: int

    async def judge(self, work: Work) -> Judgement:
        used = executed(work).peak_memory
        if used is None:
            return Judgement(
                Verdict.SKIPPED,
                "unknown: the backend does not tell how much memory was used; "
                "`memory` under [execute] makes it a limit",
            )
        if used <= self.size:
            return PASSED
        return failed(f"used {used / MIB:.1f} MiB of memory, at most {self.size / MIB:.1f} MiB")
