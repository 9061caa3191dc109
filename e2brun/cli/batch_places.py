"""Where a batch keeps its results, and which of them are there already."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.batch.earlier import Earlier, newest_of, resumed
from e2brun.batch.run import Places
from e2brun.errors import UsageError
from e2brun.runs.record import RunRecord
from e2brun.runs.recording import recording_of
from e2brun.runs.store import Store, looked_up
from e2brun.sandbox.select import is_cloud

if TYPE_CHECKING:
    from e2brun.batch.results import Results
    from e2brun.cli.batch_options import BatchRequest
    from e2brun.cli.batch_plan import Plan


def places_of(
    request: BatchRequest, plan: Plan, results: Results | None, notice: Callable[[str], None]
) -> Places:
    """The store is open then. Raises UsageError for a run that cannot be gone on with."""
    store = plan.settings.store
    cases, backend = plan.order.input, "e2b" if is_cloud(plan.settings) else "local"
    run = RunRecord(os.urandom(8).hex(), cases.name, cases.file, backend, time.time())
    earlier, before = Earlier(), ""
    if request.resume is not None:
        run = _resumed(store, request.resume, plan)
        earlier = Earlier(run.id, only_passed=request.failed)
    elif request.failed:
        found = looked_up(store, lambda opened: newest_of(opened, cases.file))
        if found is not None:
            before = found.record.id
            earlier = Earlier(before, only_passed=True)
    goes_on = bool(request.resume or request.failed)
    if results is not None and not results.is_empty:
        _look_at(request.out, results, _runs_of(store, run.file) if goes_on else None)
    env = plan.order.choices.plan.spec.env
    recording = recording_of(
        run, "batch", plan.code_hash, plan.settings, notice, env, needed=goes_on
    )
    recording.begin()
    if recording.store is not None and earlier.run_id:
        earlier.read(recording.store)
    return Places(recording, results, earlier, before)


def _look_at(out: str | None, results: Results, runs: Collection[str] | None) -> None:
    """Raises UsageError: there is something in it that is not ours to take away."""
    if runs is None:
        raise UsageError(
            f"--out {out}: the file is not empty",
            hint="Go on with its run by --resume (or --failed), or name another file.",
        )
    if number := results.foreign(runs):
        raise UsageError(
            f"--out {out}: line {number} is no result of any recorded run of this input",
            hint="The file is as it was. Name another: it gets the results that there are.",
        )


def _runs_of(store: Path | None, file: str) -> Collection[str]:
    def found(opened: Store) -> Collection[str]:
        return {run.record.id for run in opened.runs(kind="batch") if run.record.file == file}

    return looked_up(store, found) or ()


def _resumed(store: Path | None, text: str, plan: Plan) -> RunRecord:
    found = looked_up(store, lambda opened: resumed(opened, text, plan.code_hash))
    if found is None:
        raise UsageError(f"--resume {text}: no run is recorded")
    return found.record
