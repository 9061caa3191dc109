"""What a frozen value owes its users, who know dataclasses."""

from __future__ import annotations

import copy
import pickle

import pytest

from e2brun.frozen import Frozen


class Point(Frozen):
    x: int
    y: int = 0


class Named(Point):
    name: str = ""


def test_fields_are_given_by_place_or_name_and_those_with_a_value_may_be_left_out() -> None:
    assert Point(1, 2) == Point(y=2, x=1)
    assert Point(1).y == 0
    assert Named(1, 2, "a") == Named(x=1, y=2, name="a")


def test_values_are_equal_by_their_fields_and_their_kind() -> None:
    assert Point(1) != Point(2)
    assert Point(1) != Named(1)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2


def test_a_changed_one_is_another_one() -> None:
    point = Point(1, 2)
    assert point.but(y=3) == Point(1, 3)
    assert point == Point(1, 2)
    with pytest.raises(TypeError, match="z"):
        point.but(z=1)


def test_nothing_is_set_or_deleted() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="x: a Point is frozen"):
        point.x = 2  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError, match="frozen"):
        del point.x


@pytest.mark.parametrize(
    ("values", "named", "why"),
    [
        ((), {}, "missing: x"),
        ((1, 2, 3), {}, "wrong arguments"),
        ((1,), {"x": 1}, "wrong arguments"),
        ((1,), {"z": 1}, "wrong arguments"),
    ],
)
def test_wrong_arguments_are_a_type_error(
    values: tuple[int, ...], named: dict[str, int], why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        Point(*values, **named)


def test_it_shows_its_fields() -> None:
    assert repr(Named(1, name="a")) == "Named(x=1, y=0, name='a')"


def test_it_is_copied_and_pickled_as_what_it_is() -> None:
    assert copy.copy(Point(1)) == copy.deepcopy(Point(1)) == Point(1)
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1)
