"""`ExecuteStage`: the candidate runs in a sandbox, and what it did is recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from e2brun.errors import (
    E2brunError,
    FileTransferFailed,
    InstallFailed,
    RateLimited,
    SandboxLost,
    SandboxUnavailable,
    UsageError,
)
from e2brun.jobs.diagnosis import wants_what_does_not_exist
from e2brun.jobs.source import Kind, SourceUnfit
from e2brun.primitives.base import Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Cached, Event, Noticed
from e2brun.runs.record import Verdict
from e2brun.sandbox.contract import Backend, Outcome
from e2brun.sandbox.select import is_cloud_backend
from e2brun.sandbox.threads import in_thread
from e2brun.stages.execute.order import RunOrder, key_of, order_for
from e2brun.stages.execute.sandboxed import Sandboxed, SandboxRun
from e2brun.stages.execute.settings import ExecuteSettings
from e2brun.stages.step import Judge, Judgement, Step, Together, failed
from e2brun.stages.work import Work

if TYPE_CHECKING:
    from e2brun.primitives.cache import CachePrimitive
    from e2brun.stages.execute.keeping import Kept

_PASSING = (SandboxUnavailable, RateLimited, SandboxLost, FileTransferFailed, InstallFailed)


@dataclass(frozen=True)
class ExecuteStage(Step):
    """Runs the candidate in a fresh sandbox of `backend`, which whoever opened it closes.

    `checks` are those that come next: the files they look at are read, and their tests run,
    before the sandbox is ended. Where one of them judges exit codes, none fails here. A
    candidate that names packages which do not exist fails; every other fault is infrastructure.
    """

    backend: Callable[[], Backend]
    settings: ExecuteSettings = ExecuteSettings()
    checks: tuple[Judge, ...] = ()
    _once: Primitive[RunOrder, SandboxRun] = field(init=False, repr=False, compare=False)
    _kept: CachePrimitive[RunOrder, Kept] | None = field(init=False, repr=False, compare=False)

    stage: ClassVar[str] = "execute"

    def __post_init__(self) -> None:
        once: Primitive[RunOrder, SandboxRun] = Sandboxed(self.backend)
        retry, cache = self.settings.retry, self.settings.cache
        if retry is not None:  # never because code failed
            once = retry(once, on=_PASSING)
        kept = None
        if cache is not None:
            from e2brun.primitives.cache import CachePrimitive
            from e2brun.stages.execute.keeping import Keeping

            kept = CachePrimitive(Keeping(once), self.settings.cache_ttl, self._key, cache)
        object.__setattr__(self, "_once", once)
        object.__setattr__(self, "_kept", kept)

    def _key(self, order: RunOrder) -> str:
        return key_of(order, self.backend().name)

    @property
    def name(self) -> str:
        return "cell" if self.settings.cell else "program"

    async def take(self, work: Work, context: WorkflowContext) -> Work:
        """The work with its execution. Raises UsageError for settings that cannot be."""
        started = monotonic()
        own: tuple[str, ...] = ()
        try:
            noticed: list[str] = []
            order = await in_thread(lambda: self._order(work, noticed.append))
            for line in noticed:
                context.emit(Noticed(context.span, line))
            own = order.job.own
            work, judgement = await self._repeated(order, work, context)
        except SourceUnfit as error:
            judgement = failed(str(error), error.hint)
        except UsageError:
            raise
        except E2brunError as error:
            judgement = _blamed(error, own)
        return work.with_step(self.record(judgement, started, work.execution))

    def _order(self, work: Work, notice: Callable[[str], None]) -> RunOrder:
        cloud = is_cloud_backend(self.backend())
        return order_for(work, self.settings, self.checks, notice, cloud=cloud)

    async def _repeated(
        self, order: RunOrder, work: Work, context: WorkflowContext
    ) -> tuple[Work, Judgement]:
        """Until one run fails, or does not pass the checks, or all have passed."""
        times = self.settings.repeat
        for number in range(1, times + 1):
            run = await self._run(order, context)
            ran = replace(work, execution=run.record, collected=run.collected, probed=run.probed)
            judgement = _judgement(run, order)
            if times == 1:
                return ran, judgement
            passed = judgement.verdict is Verdict.PASSED
            if passed and number == times:
                return ran, replace(judgement, message=f"{times} runs: {judgement.message}")
            if not passed or (await Together(self.checks).take(ran, context)).stopped:
                which = f"run {number} of {times}: {judgement.message}"
                return ran, replace(judgement, message=which)
        raise AssertionError("there is at least one run")

    async def _run(self, order: RunOrder, context: WorkflowContext) -> SandboxRun:
        if self._kept is None:
            return await self._once.execute(order, context)
        hits: list[Event] = []

        def listen(event: Event) -> None:
            if isinstance(event, Cached):
                hits.append(event)

        kept = await self._kept.execute(order, context.child(subscribers=(listen,)))
        from e2brun.stages.execute.keeping import restored

        return restored(kept, fresh=not hits)


def _judgement(run: SandboxRun, order: RunOrder) -> Judgement:
    record = run.record
    if run.refused:
        return failed(f"get: {'; '.join(run.refused)}", record.trouble)
    if record.outcome == Outcome.OK or (order.any_exit and record.outcome == Outcome.ERROR):
        kind = "notebook, " if order.job.source.kind is Kind.NOTEBOOK else ""
        cached = ", from the cache" if record.cached else ""
        code = f"exit code {record.exit_code}" if record.exit_code is not None else record.outcome
        return Judgement(Verdict.PASSED, f"{kind}{code}{cached}")
    return failed(record.error or record.outcome, record.trouble)


def _blamed(error: E2brunError, own: tuple[str, ...]) -> Judgement:
    """Infrastructure, unless it is the candidate that wants packages which do not exist."""
    details = "\n".join((*([error.hint] if error.hint else []), *getattr(error, "__notes__", ())))
    if wants_what_does_not_exist(error, own):
        return failed(str(error), details)
    return Judgement(Verdict.INFRASTRUCTURE, str(error), details)
