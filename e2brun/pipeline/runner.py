"""Run a pipeline's cases, so many at a time, and record each as it ends. A candidate goes back to
its generator, with all that was wrong, until it passes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from time import monotonic

from e2brun.errors import E2brunError, UsageError
from e2brun.pipeline.compiler import Environment, checks_of, compiled, validators_of
from e2brun.pipeline.loader import Pipeline
from e2brun.primitives.base import Primitive, together
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Event, Noticed, SandboxReady, Started
from e2brun.runs import events
from e2brun.runs.record import AttemptRecord, CaseRecord, RunRecord, StepRecord, Verdict
from e2brun.runs.recording import Recording
from e2brun.stages.step import Step
from e2brun.stages.work import Case, Work
from e2brun.values import suggestion


@dataclass(frozen=True, slots=True)
class Choices:
    """Which cases run, and how many at once."""

    only: tuple[str, ...] = ()
    resume: bool = False  # leave out what passed before and has not changed
    concurrency: int = 1
    max_fail: int | None = None  # begin no other case after so many failures


@dataclass
class Run:
    """One run. `record` holds what is known so far, also after a cancellation."""

    pipeline: Pipeline
    around: Environment
    choices: Choices
    record: RunRecord
    recording: Recording
    subscribers: Sequence[events.RunSubscriber] = ()
    _done: dict[str, CaseRecord] = field(default_factory=dict[str, CaseRecord])
    _order: list[Case] = field(default_factory=list[Case])
    _steps: frozenset[str] = frozenset()

    async def execute(self) -> RunRecord:
        """All of it; cancellation ends every sandbox and leaves the record as it is."""
        self._order = chosen(self.pipeline, self.choices.only)
        chain = compiled(self.pipeline.document, self.around)
        attempts = self.pipeline.document.generate.attempts
        refine = RefinePrimitive(chain, attempts, Path.cwd())
        self._steps = _step_names(self.pipeline)
        waiting = deque(self._waiting())
        self._tell(events.RunStarted(tuple(case.id for case in waiting)))
        workers = min(self.choices.concurrency, len(waiting))
        try:
            # Not a task for each case: there may be very many.
            await together([self._work(refine, waiting) for _ in range(workers)])
            self.record = replace(self.record, finished=time.time())
        finally:
            self.record = replace(self.record, cases=self._cases())
        return self.record

    def _waiting(self) -> list[Case]:
        """The cases that are to run; those that need not are in the record already."""
        self.recording.begin()
        store = self.recording.store
        if not self.choices.resume or store is None:
            return list(self._order)
        prints = {case.id: self.pipeline.fingerprint(case) for case in self._order}
        for case_id, before in store.passed(self.recording.run.file, prints).items():
            self._done[case_id] = before
            self.recording.keep(before, prints[case_id])
        if self._done:
            line = f"{len(self._done)} of {len(self._order)} cases passed before: not run again"
            self.record = replace(self.record, notes=(*self.record.notes, line))
            self._tell(events.Told(line))
        return [case for case in self._order if case.id not in self._done]

    async def _work(self, refine: RefinePrimitive, waiting: deque[Case]) -> None:
        while waiting and not self._given_up():
            case = waiting.popleft()
            # Of the file as it is before it runs; and meanwhile a sandbox gets ready.
            fingerprint = self.pipeline.fingerprint(case)
            record = await self._case(refine, case)
            self._done[case.id] = record
            self.recording.keep(record, fingerprint)
            self._tell(events.CaseFinished(record))

    async def _case(self, refine: RefinePrimitive, case: Case) -> CaseRecord:
        self._tell(events.CaseStarted(case.id))
        started, begun = time.time(), monotonic()
        context = WorkflowContext(
            correlation_id=f"{self.record.id}/{case.id}",
            workflow_id=self.record.id,
            metadata={"case": case.id, "pipeline": self.record.pipeline},
            subscribers=(self._listener(case),),
        )
        refined = await refine.execute(case, context)
        return CaseRecord(
            case.id,
            refined.file,
            case.variables,
            refined.attempts,
            seconds=monotonic() - begun,
            started=started,
        )

    def _listener(self, case: Case) -> Callable[[Event], None]:
        """Translate what primitives tell into what a run tells."""

        def listen(event: Event) -> None:
            match event:
                case Started() if event.step in self._steps:
                    self._tell(events.StepStarted(case.id, event.step))
                case SandboxReady():
                    self.recording.tell("sandbox", event.sandbox_id, case.id)
                    self._tell(events.SandboxStarted(case.id, event.sandbox_id))
                case Noticed():
                    self.recording.tell("notice", event.line, case.id)
                    self._tell(events.Told(event.line))
                case _:
                    pass

        return listen

    def _given_up(self) -> bool:
        limit = self.choices.max_fail
        return limit is not None and sum(r.verdict.is_bad for r in self._done.values()) >= limit

    def _cases(self) -> tuple[CaseRecord, ...]:
        """In the pipeline's order; those that never ran have no attempt."""
        return tuple(
            self._done.get(case.id)
            or CaseRecord(case.id, "", case.variables, (), seconds=0.0, started=0.0)
            for case in self._order
        )

    def _tell(self, event: events.RunEvent) -> None:
        for subscriber in self.subscribers:
            with suppress(BrokenPipeError):  # nobody reads any more: the run goes on
                subscriber(event)


def chosen(pipeline: Pipeline, only: Sequence[str]) -> list[Case]:
    """The cases named, in the pipeline's order; all where none is. Raises UsageError."""
    if not only:
        return list(pipeline.cases)
    known = {case.id for case in pipeline.cases}
    for name in only:
        if name not in known:
            raise UsageError(f"--only {name}: there is no such case{suggestion(name, known)}")
    return [case for case in pipeline.cases if case.id in set(only)]


def _step_names(pipeline: Pipeline) -> frozenset[str]:
    """Those that a reader of the TOML knows: not the joints between them."""
    document = pipeline.document
    made = [*validators_of(document), *checks_of(document)]
    judges: list[Step] = [judge for _, make in made for judge in make()]
    return frozenset({"files", "code", "command", "llm", "program", "cell",
                      *(judge.name for judge in judges)})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refined:
    """Every attempt at a case, and the candidate's file as the user knows it."""

    file: str
    attempts: tuple[AttemptRecord, ...]


@dataclass(frozen=True)
class RefinePrimitive(Primitive[Case, Refined]):
    """Run `chain` on a case until it passes, at most `attempts` times. Each attempt knows all the
    earlier ones. A fault of the infrastructure ends it: it says nothing about the candidate."""

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
