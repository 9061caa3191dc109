"""Records as plain values and back, for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from e2brun.runs.record import (
    AttemptRecord,
    CaseRecord,
    ExecutionRecord,
    Finding,
    Severity,
    StepRecord,
    Verdict,
)
from e2brun.values import is_mapping, is_sequence

_SCALARS = frozenset({str, int, float, bool, type(None)})


def plain(value: object) -> object:
    """A record as dicts, lists and scalars; verdicts of cases and attempts are spelled out."""
    if type(value) in _SCALARS:  # most are, and a batch has millions
        return value
    if is_dataclass(value) and not isinstance(value, type):
        found = {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
        if isinstance(value, CaseRecord | AttemptRecord):
            found["verdict"] = value.verdict.value
        return found
    if is_mapping(value):
        return {str(k): plain(v) for k, v in value.items()}
    if is_sequence(value):
        return [plain(item) for item in value]
    return value


def case_from(data: Mapping[str, Any]) -> CaseRecord:
    """The case that `plain` was given. Raises KeyError, TypeError or ValueError for no such."""
    given: dict[str, Any] = {**data, "attempts": tuple(map(_attempt, data["attempts"]))}
    given.pop("verdict", None)
    return CaseRecord(**given)


def _attempt(data: Mapping[str, Any]) -> AttemptRecord:
    return AttemptRecord(data["number"], data["code"], tuple(map(_step, data["steps"])))


def _step(data: Mapping[str, Any]) -> StepRecord:
    execution = data["execution"]
    given: dict[str, Any] = {
        **data,
        "verdict": Verdict(data["verdict"]),
        "findings": tuple(map(_finding, data["findings"])),
        "execution": None if execution is None else execution_from(execution),
    }
    return StepRecord(**given)


def _finding(data: Mapping[str, Any]) -> Finding:
    given: dict[str, Any] = {**data, "severity": Severity(data["severity"])}
    return Finding(**given)


def execution_from(data: Mapping[str, Any]) -> ExecutionRecord:
    given: dict[str, Any] = {**data, "results": tuple(data["results"])}
    return ExecutionRecord(**given)
