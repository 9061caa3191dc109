# ruff: noqa: S102
"""Stands in the program after the candidate: compares it with the author's solution."""

from typing import Any


def check(candidate: Any, source: str, name: str, inputs: str, tolerance: float) -> None:
    import copy
    import json
    import math

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, float) or isinstance(other, float):
            if not (isinstance(one, (int, float)) and isinstance(other, (int, float))):
                return False
            close = math.isclose(one, other, rel_tol=1e-7, abs_tol=tolerance or 1e-6)
            return close or (math.isnan(one) and math.isnan(other))
        kinds: Any = {type(one), type(other)}
        if kinds <= {list, tuple}:
            return len(one) == len(other) and all(map(same, one, other))
        if kinds == {dict}:
            return one.keys() == other.keys() and all(
                map(same, one.values(), [other[k] for k in one])
            )
        return bool(one == other)

    place: Any = {}
    exec(source, place)
    for number, given in enumerate(json.loads(inputs)):
        expected = place[name](*copy.deepcopy(given))
        got = candidate(*copy.deepcopy(given))
        if not same(got, expected):
            raise AssertionError(f"input {number}: {got!r:.200}, not {expected!r:.200}")
