"""Run by pytest in the sandbox, where the candidate can be imported under that name."""

import candidate

average = getattr(candidate, "mean", None) or candidate.median


def test_of_equal_numbers_it_is_that_number():
    assert average([3, 3, 3]) == 3


def test_of_one_number_it_is_that_number():
    assert average([7]) == 7
