"""Rows of the store as values, and cases as rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import Any, NamedTuple

from e2brun.runs.origin import Origin, State, StoredRun
from e2brun.runs.record import CaseRecord, RunRecord, Verdict
from e2brun.sandbox.owner import is_dead
from e2brun.values import MAX_DURATION, is_table, is_text_list

RUN = (
    "id, kind, name, file, backend, command, directory, code_hash, version, owner, started,"
    " finished, exit_code, counts, notes"
)
CASE = "id, fingerprint, verdict, outcome, completed, exit_code, seconds, started, sandboxes, error"
_LONGEST_ERROR = 500
_LAST_SECOND = 253402300799  # of the year 9999
_NUMBER = int | float
_HELD = (str, str, str, str, _NUMBER, int, _NUMBER | None, str)
_RUN = (*[str] * 10, _NUMBER, _NUMBER | None, int | None, str | None, str)
_CASE = (str, str, str, str, int | None, int | None, _NUMBER, _NUMBER, str, str)
_EVENT = (_NUMBER, str, str, str)


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What is quickly known of a case: no code, no output."""

    id: str
    fingerprint: str
    verdict: Verdict
    outcome: str  # of its last execution; "" where nothing was executed
    completed: bool | None
    exit_code: int | None
    seconds: float
    started: float
    sandboxes: tuple[str, ...]
    error: str  # one line: why it did not pass


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """Something that happened in a run, or (`case`) to one of its cases."""

    at: float
    kind: str  # sandbox: its id; notice: the line
    case: str
    text: str


class Held(NamedTuple):
    """What decides whether a run stays."""

    id: str
    kind: str
    file: str  # or its name
    started: float
    size: int  # bytes of its long texts on disk
    goes_on: bool


def text(value: str) -> str:
    """As SQLite takes it: a name with bytes that are no UTF-8 keeps them spelled out."""
    return value.encode("utf-8", "backslashreplace").decode()


def case_values(case: CaseRecord, fingerprint: str) -> tuple[object, ...]:
    """The columns of CASE, their texts not masked yet."""
    executions = case.executions
    last = executions[-1] if executions else None
    completed = None if last is None or last.completed is None else int(last.completed)
    return (
        *(text(case.id), fingerprint, case.verdict.value, last.outcome if last else ""),
        *(completed, last.exit_code if last else None, case.seconds, case.started),
        json.dumps(list(dict.fromkeys(e.sandbox_id for e in executions if e.sandbox_id))),
        text(_error(case)),
    )


def _insist(row: tuple[Any, ...], types: tuple[Any, ...]) -> None:
    """SQLite keeps anything in any column. Raises TypeError, as all below, or ValueError."""
    if not all(map(isinstance, row, types)):
        raise TypeError(row)


def case_row(row: tuple[Any, ...]) -> CaseRow:
    _insist(row, _CASE)
    name, fingerprint, verdict, outcome, completed, code, seconds, started, sandboxes, error = row
    ran = None if completed is None else bool(completed), code, seconds, started
    named = _texts(sandboxes)
    return CaseRow(name, fingerprint, Verdict(verdict), outcome, *ran, named, error)


def _texts(written: str) -> tuple[str, ...]:
    found = json.loads(written)
    if not is_text_list(found):
        raise TypeError(found)
    return tuple(found)


def stored_event(row: tuple[Any, ...]) -> StoredEvent:
    _insist(row, _EVENT)
    return StoredEvent(*row)


def stored_run(row: tuple[Any, ...], count: Callable[[str], object]) -> StoredRun:
    """`count` gives how many cases a run has of each verdict, where its row does not say."""
    _insist(row, _RUN)
    run_id, kind, name, file, backend, command, directory, code_hash, *rest = row
    version, owner, started, finished, exit_code, written, notes = rest
    counts = json.loads(written) if written else count(run_id)
    if not is_table(counts):
        raise TypeError(counts)
    counted = {name: count for name, count in counts.items() if isinstance(count, int)}
    if not 0 <= started <= _LAST_SECOND >= (finished or 0) >= 0:
        raise ValueError(started)
    return StoredRun(
        RunRecord(run_id, name, file, backend, started, finished, notes=_texts(notes)),
        Origin(kind, _texts(command), directory, code_hash),
        state_of(finished, owner),
        version,
        exit_code,
        counted,
    )


def held(row: tuple[Any, ...]) -> Held:
    """Of id, kind, file, name, started, size, finished, owner."""
    _insist(row, _HELD)
    run_id, kind, file, name, started, size, finished, owner = row
    goes_on = state_of(finished, owner) in {State.RUNNING, State.UNKNOWN}
    # Of another machine nobody can tell; but nothing runs for longer than a sandbox may.
    goes_on = goes_on and time() - started < MAX_DURATION
    return Held(run_id, kind, file or name, started, size, goes_on)


def _error(case: CaseRecord) -> str:
    said = next(iter(case.bad_steps), None)
    return "" if said is None else f"{said.stage} {said.step}: {said.message}"[:_LONGEST_ERROR]


def state_of(finished: float | None, owner: str) -> State:
    if finished is not None:
        return State.FINISHED
    dead = is_dead(owner)
    if dead is None:
        return State.UNKNOWN
    return State.KILLED if dead else State.RUNNING
