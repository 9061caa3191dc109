"""Two runs of the same cases, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from e2brun.runs.record import CaseRecord
from e2brun.runs.rows import CaseRow
from e2brun.runs.store import Store


@dataclass(frozen=True, slots=True)
class Difference:
    """A case that did not go the same way. `before` or `after` is None where it is not there."""

    id: str
    before: CaseRow | None
    after: CaseRow | None
    what: tuple[str, ...]  # verdict, outcome, exit code, code, output; missing, new


def differences(store: Store, before: str, after: str) -> Iterator[Difference]:
    """Between two runs, by case: those of the first in their order, then what only the second has.
    Times and sandboxes are never the same and are not compared."""
    later = {row.id: row for row in store.rows(after)}
    for row in store.rows(before):
        other = later.pop(row.id, None)
        if other is None:
            yield Difference(row.id, row, None, ("missing",))
            continue
        what = [*_of_rows(row, other), *_of_records(store, (before, after), row.id)]
        if what:
            yield Difference(row.id, row, other, tuple(what))
    for row in later.values():
        yield Difference(row.id, None, row, ("new",))


def _of_rows(row: CaseRow, other: CaseRow) -> Iterator[str]:
    for name in ("verdict", "outcome", "exit_code"):
        if getattr(row, name) != getattr(other, name):
            yield name.replace("_", " ")


def _of_records(store: Store, runs: tuple[str, str], case_id: str) -> Iterator[str]:
    one, two = (store.case(run, case_id) for run in runs)
    if _codes(one) != _codes(two):
        yield "code"
    if _printed(one) != _printed(two):
        yield "output"


def _codes(case: CaseRecord | None) -> list[str]:
    return [attempt.code for attempt in case.attempts] if case is not None else []


def _printed(case: CaseRecord | None) -> list[tuple[str, str]]:
    executions = case.executions if case is not None else []
    return [(execution.stdout, execution.stderr) for execution in executions]
