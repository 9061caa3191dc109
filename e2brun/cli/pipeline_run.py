"""`e2brun pipeline run`, step by step: read, check, run, tell, report."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2brun.cli.options import count, share
from e2brun.cli.pipeline_options import RunRequest
from e2brun.cli.reporting import Reporter, parse_reports
from e2brun.cli.signals import Interrupted, complain, leave_soon, print_document, say, write_line
from e2brun.errors import E2brunError, UsageError
from e2brun.runs import events
from e2brun.runs.record import RunRecord, exit_code
from e2brun.sandbox.select import is_cloud
from e2brun.settings import Settings, load_settings

if TYPE_CHECKING:
    import asyncio

    from e2brun.pipeline.loader import Pipeline
    from e2brun.pipeline.runner import Choices, Run
    from e2brun.pipeline.supply import Supply
    from e2brun.report.files import Report
    from e2brun.runs.recording import Recording
    from e2brun.stages.generate.cassette import Cassette

_CLOUD_CONCURRENCY = 8
_TIDYING_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that could be wrong was looked at."""

    settings: Settings
    pipeline: Pipeline
    choices: Choices
    reports: tuple[Report, ...]
    cassette: Cassette | None
    pass_rate: float
    supply: Supply


def run_pipeline(request: RunRequest) -> int:
    """Run it and say how it went. Returns the exit code."""
    from e2brun.pipeline.supply import Supply

    supply: Supply | None = None
    try:
        settings = load_settings(None, None, **request.flags)
        run_id = os.urandom(8).hex()
        supply = Supply(settings, run_id)
        plan = _plan(request, settings, supply)
        voice = _PipelineReporter(request, settings)
        supply.listen(voice.notice)
        return _run(plan, voice, _new_run(request, plan, voice, run_id))
    except E2brunError as error:
        return refuse(error, as_json=request.as_json)
    finally:
        if supply is not None:
            supply.close()


def refuse(error: E2brunError, *, as_json: bool) -> int:
    """Nothing ran: every problem on a line of its own. Returns the exit code."""
    from e2brun.pipeline.places import BrokenPipeline

    problems = error.problems if isinstance(error, BrokenPipeline) else ()
    if as_json:
        from e2brun.report.run_json import refusal_document

        print_document(refusal_document(error, [(p.where, p.message) for p in problems]))
    for problem in problems:
        say(str(problem))
    if not problems:
        complain(error)
    return error.exit_code


def _plan(request: RunRequest, settings: Settings, supply: Supply) -> _Plan:
    from e2brun.pipeline.loader import load

    reports = parse_reports(request.reports)
    pass_rate = share("--pass-rate", request.pass_rate)
    given = (*request.settings, "sandbox.fetch=false") if request.no_fetch else request.settings
    pipeline = load(Path(request.file), given, request.variables, supply.prepare)

    from e2brun.pipeline.runner import chosen

    choices = _choices(request, settings)
    chosen(pipeline, choices.only)
    return _Plan(settings, pipeline, choices, reports, _cassette(request), pass_rate, supply)


def _choices(request: RunRequest, settings: Settings) -> Choices:
    from e2brun.pipeline.runner import Choices

    default = _CLOUD_CONCURRENCY if is_cloud(settings) else len(os.sched_getaffinity(0))
    return Choices(
        request.only,
        request.failed,
        count("--concurrency", request.concurrency) or default,
        count("--max-fail", request.max_fail),
    )


def _cassette(request: RunRequest) -> Cassette | None:
    if request.record is not None and request.replay is not None:
        raise UsageError("--record and --replay contradict each other")
    if request.record is not None:
        from e2brun.stages.generate.cassette import Recorder

        return Recorder(Path(request.record))
    if request.replay is not None:
        from e2brun.stages.generate.cassette import Replay

        return Replay(Path(request.replay))
    return None


def _new_run(request: RunRequest, plan: _Plan, voice: _PipelineReporter, run_id: str) -> Run:
    from e2brun.pipeline.compiler import Environment
    from e2brun.pipeline.runner import Run

    settings, pipeline = plan.settings, plan.pipeline
    name = pipeline.document.pipeline.name
    record = RunRecord(run_id, name, request.file, plan.supply.name, time.time())
    around = Environment(
        pipeline.directory, plan.supply.backend, settings, plan.cassette, settings.state_dir
    )
    for line in settings.notices:
        voice.notice(line)
    if pipeline.document.execute is not None:
        plan.supply.backend()  # a missing key is told once, not for every case
    recording = _recording(plan, record, voice)
    return Run(pipeline, around, plan.choices, record, recording, (voice.hear,))


def _recording(plan: _Plan, record: RunRecord, voice: _PipelineReporter) -> Recording:
    from hashlib import sha256

    from e2brun.runs.recording import recording_of

    pipeline, execute = plan.pipeline, plan.pipeline.document.execute
    return recording_of(
        replace(record, file=str(pipeline.file.absolute())),
        "pipeline",
        sha256(pipeline.file.read_bytes()).hexdigest(),
        plan.settings,
        voice.notice,
        pipeline.document.sandbox.env,
        execute.env if execute is not None else {},
        needed=plan.choices.resume,
    )


def _run(plan: _Plan, voice: _PipelineReporter, run: Run) -> int:
    try:
        with voice.live or nullcontext():
            signalled = _drive(run.execute())
    finally:
        plan.supply.close()
    total = len(run.record.cases)
    code = 128 + signalled if signalled else exit_code(run.record.count, total, plan.pass_rate)
    code = voice.tell(plan.reports, plan.settings, run.record, code)
    run.recording.finish(code, run.record.notes)
    run.recording.close()
    if signalled:
        raise Interrupted(signalled)
    return code


class _PipelineReporter(Reporter):
    """Result lines, or a live tree on a terminal."""

    def __init__(self, request: RunRequest, settings: Settings) -> None:
        super().__init__(as_json=request.as_json, quiet=request.quiet)
        self.live = None
        terminal = sys.stdout.isatty() and sys.stderr.isatty() and not settings.dumb_terminal
        if terminal and not (request.as_json or request.quiet):
            from e2brun.report.live import LiveView

            self.live = LiveView(color=not settings.no_color)

    def hear(self, event: events.RunEvent) -> None:
        if self.live is not None:
            self.live(event)
            return
        match event:
            case events.CaseFinished(record=record) if not self._as_json:
                from e2brun.report.summary import case_line

                write_line(case_line(record))
            case events.SandboxStarted():  # it takes a while: time to import what comes next
                from importlib import import_module

                import_module("e2brun.report.streams")
                import_module("e2brun.report.summary")
            case events.Told(line=line):
                self.notice(line)
            case _:
                pass

    def end(self, record: RunRecord) -> None:
        if self.live is not None:
            self.live.close(record)
        super().end(record)


def _drive(work: Coroutine[Any, Any, object]) -> int:
    """Run it in an event loop. Returns the signal that cancelled it, or 0."""
    import asyncio

    got: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)

        def cancel(number: int) -> None:
            if not got:  # once is enough: what follows is tidying up
                got.append(number)
                task.cancel()
                leave_soon(number, _TIDYING_SECONDS)

        with _listening(loop, cancel):
            await task

    try:
        asyncio.run(main())
    except asyncio.CancelledError:
        if not got:
            raise
    return got[0] if got else 0


@contextmanager
def _listening(
    loop: asyncio.AbstractEventLoop, cancel: Callable[[int], None]
) -> Generator[None, None, None]:
    """The event loop takes the signals: an exception out of a handler would be lost in it."""
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    for number in before:
        loop.add_signal_handler(number, cancel, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
