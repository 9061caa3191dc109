"""One batch from its first case to its last; every result is kept before it counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from e2brun.batch.budget import Budget
from e2brun.batch.case import Case
from e2brun.batch.earlier import Earlier
from e2brun.batch.execute import Choices, Executor
from e2brun.batch.ids import digest_of
from e2brun.batch.results import Line, Results, line_of
from e2brun.batch.shard import Shard
from e2brun.batch.tally import Tally
from e2brun.batch.width import Width
from e2brun.batch.workers import Workers
from e2brun.errors import E2brunError
from e2brun.frozen import Frozen
from e2brun.runs.record import CaseRecord, Verdict
from e2brun.runs.recording import Recording
from e2brun.sandbox.contract import Backend

if TYPE_CHECKING:
    from e2brun.batch.files import Files
    from e2brun.batch.jsonl import JsonLines

    # Cases are read as they are needed, so that memory stays flat.
    Input = Files | JsonLines

_ENDING_SECONDS = 4.0


class Order(Frozen):
    """What is to be done, read and checked."""

    input: Input
    total: int
    choices: Choices
    settings: str  # what a case's fingerprint is made with
    shard: Shard = Shard()
    start: int = 1  # cases at once, at first
    most: int = 1  # and at most
    max_fail: int | None = None  # begin no other after so many failures
    budget: Budget | None = None


class Places(Frozen):
    """Where results are kept, and what is there already."""

    recording: Recording
    results: Results | None = None
    earlier: Earlier = Earlier()
    before: str = ""  # the run that results are taken over from, where it is not this one


Heard = Callable[[CaseRecord], None]


class BatchRun:
    """`execute` runs what is left to run. `tally` holds what is known, also when it was broken
    off; `stopped` says why no other case was begun."""

    def __init__(self, order: Order, places: Places, backend: Backend, heard: Heard) -> None:
        self._order, self.places, self._heard = order, places, heard
        self._backend = backend
        self.tally = Tally(order.total)
        self.stopped, self.began = "", time.time()
        self.width = Width(order.start, order.most)
        self.executor = Executor(backend, order.choices)
        self._workers = Workers(self._left(), self.executor.run, self.width, order.most)
        self._kept = bool(places.results) or places.recording.store is not None

    def execute(self) -> None:
        """Raises what concerns every case. Every sandbox is ended then."""
        results = self._workers.results()
        try:
            for case, record in results:
                self._keep(case, record)
                self._look()
        finally:
            self.executor.stop()
            self._workers.stop()
            self._backend.close()
            self._workers.abandon(_ENDING_SECONDS)

    def _left(self) -> Iterator[Case]:
        for case in self._order.shard.of(self._order.input.cases()):
            if len(self.places.earlier):
                verdict = self.places.earlier.verdict(case, self._fingerprint(case))
                if verdict is not None:
                    self.tally.add(verdict, case.task, restored=True)
                    continue
            yield case

    def _fingerprint(self, case: Case) -> str:
        return case.fingerprint(self._order.settings)

    def _keep(self, case: Case, record: CaseRecord) -> None:
        """In the store first: whatever is in the file of results is in the store, too."""
        fingerprint = self._fingerprint(case)
        kept = self.places.recording.keep(record, fingerprint)
        if self.places.results is not None:
            run_id = self.places.recording.run.id
            self.places.results.write(line_of(record, run_id, fingerprint))
        elif self._kept and not kept:
            raise E2brunError("results can be kept nowhere any more: the batch was stopped")
        self.tally.add(record.verdict, case.task)
        self._heard(record)

    def _look(self) -> None:
        tally, order = self.tally, self._order
        bad = tally.count(Verdict.FAILED) + tally.count(Verdict.INFRASTRUCTURE)
        if order.max_fail is not None and bad >= order.max_fail:
            self._stop(f"{order.max_fail} failures (--max-fail)")
        if order.budget is not None and self.executor.sandbox_seconds >= order.budget.seconds:
            self._stop(f"the budget is spent: {order.budget}")

    def _stop(self, why: str) -> None:
        self.stopped = self.stopped or why
        self._workers.stop()


def restore(order: Order, places: Places) -> None:
    """Bring the file of results, and a new run in the store, to what an earlier run has done.

    Raises ResultsUnwritable, StoreUnusable.
    """
    earlier, results, recording = places.earlier, places.results, places.recording
    there: set[int] = set()
    store = recording.store
    if results is not None and not results.is_empty:
        now: Mapping[int, int] = _fingerprints(order) if places.before else {}
        results.recover(lambda line: _is_of(line, now) and earlier.add_line(line))
        there = {digest_of(str(line["id"])) for line in results.lines()}
    if store is None or not len(earlier):
        return
    another = places.before or recording.run.id
    for case in order.shard.of(order.input.cases()):
        fingerprint = case.fingerprint(order.settings)
        missing = results is not None and digest_of(case.id) not in there
        if not (places.before or missing) or earlier.verdict(case, fingerprint) is None:
            continue
        record = store.case(another, case.id)
        if record is None:
            continue
        if places.before:
            recording.keep(record, fingerprint)
        if results is not None and missing:
            results.write(line_of(record, recording.run.id, fingerprint))


def _fingerprints(order: Order) -> Mapping[int, int]:
    cases = order.shard.of(order.input.cases())
    return {digest_of(one.id): digest_of(one.fingerprint(order.settings)) for one in cases}


def _is_of(line: Line, now: Mapping[int, int]) -> bool:
    """Not of what has changed since."""
    found = digest_of(str(line.get("fingerprint")))
    return now.get(digest_of(str(line.get("id"))), found) == found
