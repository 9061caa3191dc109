"""One step taken on one candidate."""

from __future__ import annotations

from collections.abc import Mapping

from e2brun.primitives.base import Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.mock import create_test_context
from e2brun.runs.record import Finding, StepRecord
from e2brun.stages.execute.settings import ExecuteSettings
from e2brun.stages.execute.stage import ExecuteStage
from e2brun.stages.step import Judge, Together
from e2brun.stages.work import Case, Work


async def take(
    step: Primitive[Work, Work],
    code: str | None = None,
    variables: Mapping[str, object] | None = None,
    file: str = "",
    context: WorkflowContext | None = None,
) -> Work:
    work = Work(Case("one", variables or {}), code=code, file=file)
    return await step.execute(work, context or create_test_context())


async def judged(step: Primitive[Work, Work], code: str, file: str = "") -> StepRecord:
    return (await take(step, code, file=file)).steps[-1]


async def findings(step: Primitive[Work, Work], code: str) -> tuple[Finding, ...]:
    return (await judged(step, code)).findings


def running(
    backend: object, *checks: Judge, settings: ExecuteSettings | None = None
) -> Primitive[Work, Work]:
    stage = ExecuteStage(lambda: backend, settings or ExecuteSettings(), checks)  # type: ignore[arg-type,return-value]
    return stage >> Together(checks)
