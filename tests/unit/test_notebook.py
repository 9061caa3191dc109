"""Notebooks read as cells, and written back with what a run put out."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from e2brun.errors import UsageError
from e2brun.jobs.notebook import CellRun, executed_notebook, read_notebook
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Result

Json = dict[str, Any]


def code(source: str | list[str], **more: object) -> Json:
    return {
        "cell_type": "code",
        "id": "c0",
        "metadata": {},
        "execution_count": 9,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "old"}],
        "source": source,
    } | more


def markdown(source: str) -> Json:
    return {"cell_type": "markdown", "id": "m0", "metadata": {}, "source": source}


def written(directory: Path, *cells: Json, **more: object) -> Path:
    document = {
        "cells": [cell | {"id": f"id{n}"} for n, cell in enumerate(cells)],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    } | more
    path = directory / "some.ipynb"
    path.write_text(json.dumps(document))
    return path


def run(index: int, execution: Execution, stdout: str = "", stderr: str = "") -> CellRun:
    return CellRun(index, execution, stdout, stderr, 1)


def executed(path: Path, *runs: CellRun) -> Json:
    """As the reference implementation reads it, which it must find valid."""
    made = executed_notebook(read_notebook(path), runs)
    nbformat.validate(nbformat.reads(made.decode(), as_version=4))  # type: ignore[no-untyped-call]
    document: Json = json.loads(made)
    return document


def test_code_cells_come_in_order_and_empty_ones_are_skipped(tmp_path: Path) -> None:
    path = written(
        tmp_path, code(["a = 1\n", "b = 2"]), markdown("# x"), code(" \n"), code("a + b")
    )
    notebook = read_notebook(path)
    assert [(cell.index, cell.source) for cell in notebook.cells] == [
        (0, "a = 1\nb = 2"),
        (3, "a + b"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not json", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("[]", "not a JSON object"),
        ("{}", "nbformat None"),
        ('{"nbformat": 3, "nbformat_minor": 0, "worksheets": []}', "jupyter nbconvert"),
        ('{"nbformat": 4, "nbformat_minor": 5}', "it has no cells"),
        ('{"nbformat": 4, "cells": {}}', "it has no cells"),
        ('{"nbformat": 4, "cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "'R'"),
        ('{"nbformat": 4, "cells": [], "metadata": {"language_info": {"name": "julia"}}}', "julia"),
    ],
)
def test_what_is_no_python_notebook_is_refused_in_one_line(
    tmp_path: Path, text: str, why: str
) -> None:
    path = tmp_path / "some.ipynb"
    path.write_text(text)
    with pytest.raises(UsageError, match=why) as caught:
        read_notebook(path)
    assert "\n" not in str(caught.value)
    assert "some.ipynb: " in str(caught.value)


def test_a_notebook_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_notebook(tmp_path / "none.ipynb")
    (tmp_path / "some.ipynb").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not a notebook"):
        read_notebook(tmp_path / "some.ipynb")


def test_odd_shapes_are_no_cells(tmp_path: Path) -> None:
    path = tmp_path / "some.ipynb"
    path.write_text('{"nbformat": 4, "cells": [1, {}, {"cell_type": "code", "source": 3}]}')
    notebook = read_notebook(path)
    assert notebook.cells == ()
    made = json.loads(executed_notebook(notebook, []))
    assert made["cells"][:2] == [1, {}]


def test_magics_are_left_to_the_context(tmp_path: Path) -> None:
    source = "%matplotlib inline\n!pip install -r x.txt 'y\n%%time"
    assert read_notebook(written(tmp_path, code(source))).cells[0].source == source


def test_outputs_are_those_of_the_run_and_valid_to_nbformat(tmp_path: Path) -> None:
    results: tuple[Result, ...] = (
        {"text": "<Figure>", "png": "AAAA", "chart": {"type": "bar"}, "data": [1]},
        {"chart": {"type": "bar"}},
        {
            "text": "4\n5",
            "json": {"a": [1]},
            "extra": {"application/vnd.x+json": {"b": 1}, "x/y": 3, "z": "no mime type"},
            "is_main_result": True,
        },
    )
    document = executed(
        written(tmp_path, code("x")),
        run(0, Execution(Outcome.OK, 0, results=results), "a\nb", "warning\n"),
    )
    (cell,) = document["cells"]
    assert cell["execution_count"] == 1
    assert cell["outputs"] == [
        {"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]},
        {"output_type": "stream", "name": "stderr", "text": ["warning\n"]},
        {
            "output_type": "display_data",
            "data": {"text/plain": "<Figure>", "image/png": "AAAA"},
            "metadata": {},
        },
        {
            "output_type": "execute_result",
            "data": {
                "application/vnd.x+json": {"b": 1},
                "text/plain": "4\n5",
                "application/json": {"a": [1]},
            },
            "metadata": {},
            "execution_count": 1,
        },
    ]


def test_what_was_raised_is_an_error_output(tmp_path: Path) -> None:
    error = CodeError("KeyError", "'a'", "Traceback:\n  x\nKeyError: 'a'")
    document = executed(
        written(tmp_path, code("x"), code("y")), run(0, Execution(Outcome.ERROR, 1, error=error))
    )
    assert document["cells"][0]["outputs"] == [
        {
            "output_type": "error",
            "ename": "KeyError",
            "evalue": "'a'",
            "traceback": ["Traceback:", "  x", "KeyError: 'a'"],
        }
    ]
    assert document["cells"][1]["outputs"] == []  # it did not run: no output of another run
    assert document["cells"][1]["execution_count"] is None


def test_an_end_that_raised_nothing_shows_too(tmp_path: Path) -> None:
    document = executed(
        written(tmp_path, code("x")), run(0, Execution(Outcome.TIMEOUT, detail="time limit 3 s"))
    )
    (output,) = document["cells"][0]["outputs"]
    assert (output["ename"], output["evalue"]) == ("timeout", "time limit 3 s")


def test_everything_else_is_written_back_as_it_was(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        markdown("# é 漢"),
        code(["%matplotlib inline\n", "x"], metadata={"tags": ["a"], "mine": {"b": 1}}),
        {"cell_type": "raw", "metadata": {}, "source": "r"},
        metadata={"kernelspec": {"name": "p", "display_name": "P"}, "mine": [1, {"c": None}]},
    )
    before = json.loads(path.read_text())
    after = executed(path, run(1, Execution(Outcome.OK, 0)))
    assert list(after) == list(before)
    for document in (before, after):
        document["cells"][1]["outputs"] = document["cells"][1]["execution_count"] = None
    assert after == before


def test_an_older_minor_format_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "some.ipynb"
    cell = {key: value for key, value in code("x").items() if key != "id"}
    path.write_text(json.dumps({"cells": [cell], "nbformat": 4, "metadata": {}}))
    document = executed(path, run(0, Execution(Outcome.OK, 0), "é"))
    assert document["nbformat_minor"] == 4


def test_what_strict_json_or_utf8_cannot_say_does_not_break_the_file(tmp_path: Path) -> None:
    results: tuple[Result, ...] = (
        {"text": "\ud83d", "json": float("nan")},
        {"json": float("inf")},
    )
    made = executed_notebook(
        read_notebook(written(tmp_path, code("x"))),
        [run(0, Execution(Outcome.OK, 0, results=results), "\ufffd\udc80")],
    )
    outputs = json.loads(made.decode())["cells"][0]["outputs"]
    assert outputs[1]["data"] == {"text/plain": "\ud83d"}
    assert len(outputs) == 2
