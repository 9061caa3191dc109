"""`e2brun batch`, step by step: read, check, run, tell, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING

from e2brun.batch.run import BatchRun, Places, restore
from e2brun.cli.batch_plan import Plan, plan_of_batch
from e2brun.cli.reporting import Reporter
from e2brun.cli.signals import Interrupted, write_line
from e2brun.errors import E2brunError, UsageError
from e2brun.runs.record import CaseRecord, RunRecord, Verdict, exit_code
from e2brun.sandbox.select import choose
from e2brun.settings import load_settings

if TYPE_CHECKING:
    from e2brun.cli.batch_options import BatchRequest
    from e2brun.report.progress import Progress
    from e2brun.sandbox.contract import Backend
    from e2brun.settings import Settings


def run_batch(request: BatchRequest) -> int:
    """Run it and say how it went. Returns the exit code."""
    voice = Voice(as_json=request.as_json, quiet=request.quiet, out=request.out)
    try:
        settings = load_settings(None, None, **request.flags)
        for line in settings.notices:
            voice.notice(line)
        plan = plan_of_batch(request, settings, voice.notice)
        return _run(request, plan, voice)
    except E2brunError as error:
        from e2brun.cli.pipeline_run import refuse

        voice.clear()
        return refuse(error, as_json=request.as_json)


class Voice(Reporter):
    """Where results go to a file, or many to a terminal, only those that did not pass are said."""

    _run: BatchRun  # from `begin` on

    def __init__(self, *, as_json: bool, quiet: bool, out: str | None) -> None:
        super().__init__(as_json=as_json, quiet=quiet)
        self._silent = as_json or out == "-"
        self._only_bad = out is not None
        self._progress: Progress | None = None

    def begin(self, run: BatchRun, settings: Settings) -> None:
        self._run = run
        terminal = sys.stderr.isatty() and not settings.dumb_terminal
        self._only_bad = self._only_bad or (terminal and sys.stdout.isatty())
        if not self._quiet:
            from e2brun.report.progress import Progress

            self._progress = Progress(run.tally.total, terminal=terminal)

    def finished(self, record: CaseRecord) -> None:
        if not self._silent and (record.verdict is not Verdict.PASSED or not self._only_bad):
            from e2brun.report.summary import case_line

            self.clear()
            write_line(case_line(record))
        if self._progress is not None:
            run = self._run
            shown = (Verdict.PASSED, Verdict.FAILED, Verdict.INFRASTRUCTURE)
            passed, failed, faults = map(run.tally.count, shown)
            self._progress.show(run.tally.done, passed, failed, faults, run.width.running)

    def clear(self) -> None:
        if self._progress is not None:
            self._progress.clear()

    def end(self, record: RunRecord) -> None:
        for line in _notes(self._run):
            self.notice(line)
        self.close(_closing_line(record, self._run))

    def figures(self) -> dict[str, object]:
        estimates = {f"pass@{k}": value for k, value in self._run.tally.estimates().items()}
        return {"estimates": estimates} if estimates else {}


def _run(request: BatchRequest, plan: Plan, voice: Voice) -> int:
    from e2brun.cli.batch_places import places_of

    with ExitStack() as opened:
        results = None
        if request.out is not None:
            from e2brun.batch.results import Results

            results = opened.enter_context(closing(Results(request.out)))
        places = places_of(request, plan, results, voice.notice)
        opened.enter_context(closing(places.recording))
        try:
            return _go(request, plan, voice, places)
        except E2brunError as error:
            places.recording.finish(error.exit_code)
            raise


def _go(request: BatchRequest, plan: Plan, voice: Voice, places: Places) -> int:
    run_id = places.recording.run.id
    restore(plan.order, places)
    wanted = request.as_json or plan.reports or plan.settings.github_actions
    kept: dict[str, CaseRecord] | None = {} if wanted else None  # otherwise memory stays flat

    def heard(record: CaseRecord) -> None:
        voice.finished(record)
        if kept is not None:
            kept[record.id] = record

    backend = _backend(request, plan, run_id, voice)
    run = BatchRun(plan.order, places, backend, heard)
    voice.begin(run, plan.settings)
    signalled = 0
    try:
        run.execute()
    except Interrupted as interrupted:
        signalled = interrupted.number
    except E2brunError as error:
        if places.recording.store is None or (isinstance(error, UsageError) and not run.tally.done):
            raise
        hint = f"{error.hint} Go on with --resume {run_id}.".strip()
        raise type(error)(str(error), hint=hint) from error
    total = run.tally.total
    code = 128 + signalled if signalled else exit_code(run.tally.count, total, plan.pass_rate)
    code = voice.tell(plan.reports, plan.settings, _record(plan, places, kept), code)
    places.recording.finish(code, [run.stopped] if run.stopped else [])
    if signalled:
        raise Interrupted(signalled)
    return code


def _backend(request: BatchRequest, plan: Plan, run_id: str, voice: Voice) -> Backend:
    backend = choose(plan.settings, run_id=run_id, notice=voice.notice, many=True, crowd=True)
    if not request.reuse:
        return backend
    from e2brun.batch.reuse import Reusing

    return Reusing(backend)


def _record(plan: Plan, places: Places, kept: dict[str, CaseRecord] | None) -> RunRecord:
    """With every case, in the order of the input, where somebody is to be told of them."""
    record = replace(places.recording.run, finished=time.time())
    if kept is None:
        return record
    return replace(record, cases=tuple(_cases(plan, places, kept)))


def _cases(plan: Plan, places: Places, kept: dict[str, CaseRecord]) -> Iterator[CaseRecord]:
    """Those that were not run have no attempt."""
    store = places.recording.store
    for case in plan.order.shard.of(plan.order.input.cases()):
        found = kept.get(case.id)
        if found is None and store is not None:
            found = store.case(places.recording.run.id, case.id)
        yield found or CaseRecord(case.id, "", {}, (), seconds=0.0, started=0.0)


def _notes(run: BatchRun) -> Iterator[str]:
    if run.stopped:
        yield f"no other case was begun: {run.stopped}"
    if run.tally.restored:
        yield f"{run.tally.restored} of {run.tally.total} cases had a result: not run again"
    if run.executor.faults:
        yield f"{run.executor.faults} faults of the infrastructure were tried again"


def _closing_line(record: RunRecord, run: BatchRun) -> str:
    """`cases.jsonl: 160 passed, 4 failed · pass@1 0.976 · local · 0.31 s · run 3f…`."""
    from e2brun.batch.budget import estimated_price
    from e2brun.report import summary

    figures = [f"pass@{k} {value:.4g}" for k, value in run.tally.estimates().items()]
    price = estimated_price(run.executor.sandbox_seconds) if record.backend == "e2b" else ""
    line = summary.closing_line(
        record, run.tally.count, began=run.began, figures=figures, price=price
    )
    return f"{line} · run {record.id}" if run.places.recording.store is not None else line
