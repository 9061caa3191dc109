"""Records as plain values and back, for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from e2brun.runs.record import AttemptRecord, CaseRecord, Severity, Verdict
from e2brun.values import is_list, is_mapping, is_sequence

T = TypeVar("T")
# What `made` raises, and JSON before it, for what another version or a stranger has written.
UNREADABLE = (LookupError, TypeError, ValueError, RecursionError)
_HIGHEST = 2**63  # of a number, which is also none that is not a number
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


def made(form: type[T], data: object) -> T:
    """What `plain` was given, a record of this form: every field of it is of the type that it is
    declared with, whoever wrote it down. Raises LookupError, TypeError or ValueError for none."""
    if not is_mapping(data):
        raise TypeError(data)
    types = _types(cast("Any", form))
    derived = {"verdict"} - types.keys()
    return form(**{str(k): _checked(types[str(k)], v) for k, v in data.items() if k not in derived})


@cache
def _types(form: type) -> dict[str, Any]:
    return get_type_hints(form)


def _checked(wanted: Any, value: object) -> object:
    kind, inner = get_origin(wanted), get_args(wanted)
    if kind is UnionType:  # with None, and no other
        return None if value is None else _checked(inner[0], value)
    if kind is tuple and is_list(value):
        return tuple(_checked(inner[0], item) for item in value)
    if kind is Mapping and is_mapping(value):
        return {str(key): _checked(inner[1], item) for key, item in value.items()}
    if is_dataclass(wanted):
        return made(cast("type[object]", wanted), value)
    if wanted in {Verdict, Severity}:
        return wanted(value)
    if not isinstance(value, int | float if wanted is float else wanted):
        raise TypeError(value)
    if wanted in {int, float} and not abs(cast("float", value)) < _HIGHEST:
        raise ValueError(value)
    return value
