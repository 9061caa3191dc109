"""Parameters of a notebook, by papermill's rules."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import nbformat
import pytest

from e2brun.errors import UsageError
from e2brun.jobs.notebook import executed_notebook, read_notebook
from e2brun.jobs.notebook_parameters import given_parameters

Json = dict[str, Any]


def code(source: str, *tags: str) -> Json:
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": []}


def book(*cells: Json, language: str = "python", minor: int = 5) -> bytes:
    kernel = {"name": language, "display_name": language, "language": language}
    document = {"nbformat": 4, "nbformat_minor": minor, "cells": cells}
    return json.dumps({**document, "metadata": {"kernelspec": kernel}}).encode()


def injected(content: bytes, parameters: Json) -> list[Json]:
    """The cells of the document that is written, which nbformat must find valid."""
    made = executed_notebook(read_notebook(content, "b.ipynb", parameters), [])
    nbformat.validate(nbformat.reads(made.decode(), as_version=4))
    cells: list[Json] = json.loads(made)["cells"]
    return cells


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("1_000", 1000),
        ("0.5", 0.5),
        ("1e3", 1000.0),
        ("True", True),
        ("False", False),
        ("None", None),
        ("true", "true"),
        ("", ""),
        ("a=b", "a=b"),
        ("[1]", "[1]"),
        ("9" * 5000, math.inf),
    ],
)
def test_the_type_of_a_value_is_read_from_its_text(text: str, value: object) -> None:
    given = given_parameters([f"x={text}"], [], None)
    assert given == {"x": value}
    assert type(given["x"]) is type(value)


def test_a_raw_value_stays_text() -> None:
    assert given_parameters([], ["x=3", "y=None"], None) == {"x": "3", "y": "None"}


def test_the_command_line_counts_more_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text("x = 1\ny = [1, 'a']\nwhen = 2020-01-02\n[t]\na = true\n")
    given = given_parameters(["x=2"], [], str(file))
    assert (given["x"], given["y"], given["t"]) == (2, [1, "a"], {"a": True})


@pytest.mark.parametrize(
    ("words", "why"),
    [(["x"], "write -p NAME=VALUE"), (["=1"], "not a name"), (["a b=1"], "not a name"),
     (["a\nb=1"], "not a name"), (["1a=1"], "not a name")],
)  # fmt: skip
def test_what_is_no_assignment_is_refused(words: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        given_parameters(words, [], None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"x = [", b"x", b"\xff", b"x = 1\nx = 2", b"a = " + b"[" * 9999]
)
def test_malformed_toml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "p.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"p\.toml: not valid TOML") as caught:
        given_parameters([], [], str(file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--params .*none\.toml: No such file"):
        given_parameters([], [], str(tmp_path / "none.toml"))


def test_they_are_set_after_the_cell_that_is_tagged() -> None:
    cells = injected(book(code("1"), code("x = 1", "parameters"), code("x")), {"x": 2})
    assert [cell["source"] for cell in cells] == ["1", "x = 1", "# Parameters\nx = 2\n", "x"]
    assert cells[2]["metadata"] == {"tags": ["injected-parameters"]}
    assert cells[2]["id"] == "injected-parameters"


def test_those_of_an_earlier_run_are_replaced() -> None:
    content = book(code("x = 1", "parameters"), code("x = 9", "injected-parameters"), code("x"))
    cells = injected(content, {"x": 2})
    assert [cell["source"] for cell in cells] == ["x = 1", "# Parameters\nx = 2\n", "x"]


def test_without_such_a_cell_they_come_first() -> None:
    cells = injected(book(code("print(x)"), minor=4), {"x": 2})
    assert cells[0]["source"] == "# Parameters\nx = 2\n"
    assert "id" not in cells[0]


_DECLARED = "alpha: int = 1\nb, (c, *d) = 1, (2, 3)"


@pytest.mark.parametrize(
    ("cells", "name", "instead"),
    [
        ([code(_DECLARED, "parameters")], "alhpa", 'did you mean "alpha"'),
        ([code("a = 1", "parameters"), code("z = 2; z")], "z", "known: a"),
        ([code("print(1)")], "x", "no parameter 'x'"),
        ([code("xs = 1")], "x", "no parameter 'x'"),
        ([code("%time a = 1", "parameters")], "b", "no parameter 'b'"),
    ],
)
def test_one_that_the_notebook_does_not_know_is_refused(
    cells: list[Json], name: str, instead: str
) -> None:
    with pytest.raises(UsageError, match=instead) as caught:
        read_notebook(book(*cells), "b.ipynb", {name: 1})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["alpha", "b", "c", "d"])
def test_all_that_the_cell_sets_is_known(name: str) -> None:
    read_notebook(book(code(_DECLARED, "parameters")), "b.ipynb", {name: 1})


@pytest.mark.parametrize(
    "value",
    [None, True, 1, -2.5, "", "a'b\"c\\d\n\u2028é\U0001f600", [1, [2, "x"]], {"a": {"b'": None}}],
)
def test_python_gets_the_value_itself(value: object) -> None:
    cells = injected(book(code("x = 1", "parameters")), {"x": value})
    found: Json = {}
    exec(cells[1]["source"], found)
    assert found["x"] == value


@pytest.mark.parametrize(
    ("language", "before", "value", "line"),
    [
        ("python", "x = 1", math.nan, "x = float('nan')"),
        ("bash", "x=1", "a b'c", "x='a b'\"'\"'c'"),
        ("bash", "x=1", [1, True], "x=(1 true)"),
        ("bash", "export x=1", None, "x="),
        ("r", "x <- 1", {"a": [1, None]}, 'x = list("a" = list(1, NULL))'),
        ("r", "x = 1", True, "x = TRUE"),
        ("javascript", "let x = 1", {"a": [None, "é"]}, 'void (x = {"a": [null, "\\u00e9"]});'),
        ("typescript", "let x: number = 1", 2, "void (x = 2);"),
        ("java", "int x = 1;", 2**40, "var x = 1099511627776L;"),
        ("java", 'String x = "a";', 'q"', 'var x = "q\\"";'),
    ],
)
def test_other_languages_have_their_own_literals(
    language: str, before: str, value: object, line: str
) -> None:
    cells = injected(book(code(before, "parameters"), language=language), {"x": value})
    assert cells[1]["source"].splitlines()[1] == line


@pytest.mark.parametrize(("language", "value"), [("bash", {"a": 1}), ("java", [1]), ("java", None)])
def test_what_a_language_has_no_literal_for_is_refused(language: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"parameter x: {language} has no"):
        read_notebook(book(code("x=1"), language=language), "b.ipynb", {"x": value})
