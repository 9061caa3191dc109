"""The candidate stands in the pipeline itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic

from e2brun.errors import UsageError
from e2brun.primitives.context import WorkflowContext
from e2brun.stages.step import PASSED, Generator
from e2brun.stages.template import render
from e2brun.stages.work import Work


@dataclass(frozen=True)
class CodeGenerator(Generator, step="code"):
    """`code`, with the case's variables filled in: `{{name!r}}` is safe, `{{name}}` is raw."""

    code: str

    def __post_init__(self) -> None:
        if not self.code.strip():
            raise UsageError("generate: the code is empty")

    async def take(self, work: Work, context: WorkflowContext) -> Work:
        """The work with the code. Raises UsageError for a variable that is not there."""
        started = monotonic()
        code = render(self.code, work.case.variables)
        return replace(work, code=code).with_step(self.record(PASSED, started))
