"""One case in sandboxes: from a program to its record."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from time import monotonic

from e2brun.batch.case import Case, Test
from e2brun.batch.judge import steps_of
from e2brun.errors import (
    AuthenticationFailed,
    E2brunError,
    RateLimited,
    SandboxError,
    SandboxUnavailable,
    Unsupported,
)
from e2brun.frozen import Frozen
from e2brun.jobs import run as jobs
from e2brun.jobs.diagnosis import wants_what_does_not_exist
from e2brun.jobs.job import Job, Plan
from e2brun.jobs.prepare import prepare
from e2brun.jobs.source import SourceUnfit
from e2brun.primitives.transcript import Transcript, known, recorded
from e2brun.runs.record import AttemptRecord, CaseRecord, ExecutionRecord, StepRecord, Verdict
from e2brun.sandbox.contract import Backend, Outcome, Sandbox

_EVERYBODY = (AuthenticationFailed, Unsupported)  # what no other try and no other case changes
_LONGEST_PAUSE = 5.0  # seconds
_ROOM = 64 * 1024  # bytes of output beyond what is expected: they are for the message


class Choices(Frozen):
    """How each case is run."""

    plan: Plan  # of all of them; source and stdin are the case's
    completed: bool = False  # a program has to come to its last line
    max_output: int = 256 * 1024
    repeat: int = 1
    tries: int = 3  # of what fails without the program's doing
    pause: float = 0.2  # seconds before the second of them, doubled each time
    hopeless: int = 20  # faults with no success before them: nothing runs here


class Executor:
    """Runs cases on `backend`; `run` may be called from many threads."""

    def __init__(self, backend: Backend, choices: Choices) -> None:
        self._backend, self._choices = backend, choices
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._succeeded = False
        self.sandbox_seconds = 0.0
        self.faults = 0  # tries that failed without the program's doing

    def stop(self) -> None:
        """Nothing is tried again."""
        self._stopped.set()

    def run(self, case: Case) -> CaseRecord:
        """How it went. Raises RateLimited, and E2brunError for what concerns every case."""
        started, begun = time.time(), monotonic()
        steps = self._steps(case)
        code = case.source.content.decode("utf-8", "replace")
        file = case.source.name if case.source.directory is not None else ""
        parameters = {"task": case.task} if case.task else {}
        attempts = (AttemptRecord(1, code, tuple(steps)),)
        return CaseRecord(case.id, file, parameters, attempts, monotonic() - begun, started)

    def _steps(self, case: Case) -> list[StepRecord]:
        for attempt in range(1, self._choices.tries + 1):
            try:
                return self._tested(case)
            except SourceUnfit as error:
                return [StepRecord("execute", "program", Verdict.FAILED, 0.0, str(error))]
            except (RateLimited, *_EVERYBODY):
                raise
            except SandboxError as error:
                if attempt == self._choices.tries or self._stopped.is_set():
                    return [_fault(error, attempt)]
                self._count(error)
            pause = min(self._choices.pause * 2 ** (attempt - 1), _LONGEST_PAUSE)
            self._stopped.wait(pause * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        raise AssertionError("there is at least one try")

    def _count(self, error: SandboxError) -> None:
        with self._lock:
            self.faults += 1
            if self._succeeded or self.faults < self._choices.hopeless:
                return
        raise E2brunError(f"nothing runs: {error}", hint=error.hint) from error

    def _tested(self, case: Case) -> list[StepRecord]:
        """Every test until one fails, and all of that again as often as was asked."""
        count = len(case.tests)
        steps: list[StepRecord] = []
        for number in range(self._choices.repeat * count):
            which = f"test {number % count + 1} of {count}: " if count > 1 else ""
            if self._choices.repeat > 1:
                which = f"run {number // count + 1} of {self._choices.repeat}: {which}"
            test = case.tests[number % count]
            job = self._job(case, test)
            try:
                record = self._once(job, self._limit(test))
            except SandboxError as error:
                if wants_what_does_not_exist(error, job.own):
                    told = which + str(error)
                    return [StepRecord("execute", "program", Verdict.FAILED, 0.0, told)]
                raise
            self._succeeded = True
            steps = steps_of(record, test, self._choices.completed, which)
            if any(step.verdict is Verdict.FAILED for step in steps):
                break
        return steps

    def _job(self, case: Case, test: Test) -> Job:
        plan = self._choices.plan
        stdin = plan.stdin if test.stdin is None else test.stdin
        return prepare(plan.but(source=case.source, stdin=stdin))

    def _limit(self, test: Test) -> int:
        if test.expected is None or not self._choices.max_output:
            return self._choices.max_output
        return max(self._choices.max_output, 4 * len(test.expected) + _ROOM)

    def _once(self, job: Job, limit: int) -> ExecutionRecord:
        begun = monotonic()
        sandbox = self._backend.create(job.spec)
        try:
            return _ran(job, sandbox, limit)
        except RateLimited as error:  # which says nothing of how many there may be
            raise SandboxUnavailable(str(error)) from error
        finally:
            sandbox.kill()
            with self._lock:
                self.sandbox_seconds += monotonic() - begun


def _ran(job: Job, sandbox: Sandbox, limit: int) -> ExecutionRecord:
    transcript = Transcript(limit)
    outputs = jobs.Outputs(transcript.stdout, transcript.stderr)
    execution = transcript.within(known(jobs.run(job, sandbox, outputs).execution))
    record = recorded(execution, transcript, sandbox)
    if record.error is None and execution.outcome is not Outcome.OK and execution.detail:
        record = replace(record, error=f"{record.outcome}: {execution.detail}")
    return record


def _fault(error: E2brunError, tries: int) -> StepRecord:
    told = f"{error} (tried {tries} times)" if tries > 1 else str(error)
    return StepRecord("execute", "program", Verdict.INFRASTRUCTURE, 0.0, told, error.hint)
