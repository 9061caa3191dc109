"""How much the program used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from e2brun.errors import UsageError
from e2brun.runs.record import Verdict
from e2brun.stages.step import PASSED, Judge, Judgement, executed, failed
from e2brun.stages.work import Work

_MIB = 1024 * 1024


@dataclass(frozen=True)
class MaxTime(Judge):
    """It took at most `seconds`, from start to end of the code itself."""

    seconds: float

    stage: ClassVar[str] = "check"
    step: ClassVar[str] = "max_time"

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise UsageError("max_time is a number of seconds above 0")

    async def judge(self, work: Work) -> Judgement:
        """Whether it did."""
        record = executed(work)
        took = f"{record.execution_time:.3f} s"
        if record.execution_time <= self.seconds:
            return Judgement(Verdict.PASSED, took)
        return failed(f"took {took}, at most {self.seconds:g} s")


@dataclass(frozen=True)
class MaxMemory(Judge):
    """It used at most `size` bytes, where the backend tells; skipped where it does not."""

    size: int

    stage: ClassVar[str] = "check"
    step: ClassVar[str] = "max_memory"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError("max_memory is 1 byte or more")

    async def judge(self, work: Work) -> Judgement:
        """Whether it did, if that is known."""
        used = executed(work).peak_memory
        if used is None:
            return Judgement(
                Verdict.SKIPPED,
                "unknown: the backend does not tell how much memory was used; "
                "`memory` under [execute] makes it a limit",
            )
        if used <= self.size:
            return PASSED
        return failed(f"used {used / _MIB:.1f} MiB of memory, at most {self.size / _MIB:.1f} MiB")
