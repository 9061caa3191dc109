"""A candidate goes back to its generator, with all that was wrong, until it passes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from e2brun.errors import E2brunError
from e2brun.primitives.base import Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.runs.record import AttemptRecord, StepRecord, Verdict
from e2brun.stages.work import Case, Work


@dataclass(frozen=True, slots=True)
class Refined:
    """Every attempt at a case, and the candidate's file as the user knows it."""

    file: str
    attempts: tuple[AttemptRecord, ...]


@dataclass(frozen=True)
class RefinePrimitive(Primitive[Case, Refined]):
    """Run `chain` on a case until it passes, at most `attempts` times.

    Each attempt knows all the earlier ones. A fault of the infrastructure ends it: it says
    nothing about the candidate.
    """

    chain: Primitive[Work, Work]
    attempts: int = 1
    base: PurePath | None = None  # what names of files are shown relative to

    async def execute(self, data: Case, context: WorkflowContext) -> Refined:
        done: tuple[AttemptRecord, ...] = ()
        file = self._shown(data)
        for number in range(1, self.attempts + 1):
            work = Work(data, number, file=file, earlier=done)
            try:
                work = await self.chain.execute(work, context)
            except E2brunError as error:  # what a stage could not put in a record
                work = work.with_step(_broken(error))
            attempt = AttemptRecord(number, work.code or "", work.steps)
            done = (*done, attempt)
            if attempt.verdict is not Verdict.FAILED:
                break
        return Refined(file, done)

    def _shown(self, case: Case) -> str:
        if case.file is None:
            return ""
        if self.base is not None and case.file.is_relative_to(self.base):
            return str(case.file.relative_to(self.base))
        return str(case.file)


def _broken(error: E2brunError) -> StepRecord:
    details = "\n".join((error.hint, *getattr(error, "__notes__", ()))).strip()
    return StepRecord(
        "pipeline", type(error).__name__, Verdict.INFRASTRUCTURE, 0.0, str(error), details
    )
