from __future__ import annotations

import pytest

from e2brun.errors import UsageError
from e2brun.stages.check.json_text import JsonCheck
from e2brun.stages.check.numbers import NumbersCheck
from e2brun.stages.check.text import TextCheck
from e2brun.stages.template import fill, placeholders, render


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("say {{ name }}!", "say O'Neil!"),
        ("x = {{name!r}}", 'x = "O\'Neil"'),
        ("{{n}} {{flag}} {{items}}", '4 true [1, "a"]'),
        ("{{flag!r}}", "True"),
        (r"\{{name}}", "{{name}}"),
        ("{'a': {1}} ${name} f'{x}' {name}", "{'a': {1}} ${name} f'{x}' {name}"),
    ],
)
def test_only_a_name_between_double_braces_is_replaced(text: str, expected: str) -> None:
    variables = {"name": "O'Neil", "n": 4, "flag": True, "items": [1, "a"]}
    assert render(text, variables) == expected


def test_what_a_variable_holds_is_not_rendered_again() -> None:
    assert render("{{a}}", {"a": "{{b}}", "b": "no"}) == "{{b}}"


def test_an_unknown_variable_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(UsageError, match=r"no variable 'nmae'.*\"name\""):
        render("{{nmae}}", {"name": 1})


def test_the_variables_a_text_asks_for_are_known_ahead() -> None:
    assert placeholders(r"{{a}} {{ b!r }} \{{c}} {d}") == {"a", "b"}


def test_a_value_that_is_one_variable_keeps_its_type() -> None:
    assert fill({"k": ["{{n}}", "is {{n}}"]}, {"n": 4}, typed=True) == {"k": [4, "is 4"]}
    assert fill("{{n}}", {"n": 4}) == "4"


def test_checks_are_filled_in_by_case() -> None:
    variables = {"n": 4.5, "word": "ok"}
    assert NumbersCheck("{{n}}").rendered(variables) == NumbersCheck(4.5)
    assert TextCheck(contains=("{{word}}",)).rendered(variables) == TextCheck(contains=("ok",))
    assert JsonCheck(equals={"$.a": "{{n}}"}).rendered(variables) == JsonCheck(equals={"$.a": 4.5})
