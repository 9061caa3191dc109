"""Notebooks read as cells, and written back with what a run put out."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from e2brun.errors import UsageError
from e2brun.jobs import notebook as notebooks
from e2brun.jobs.notebook import CellRun, Notebook, executed_notebook
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Result

Json = dict[str, Any]


def read_notebook(path: Path) -> Notebook:
    return notebooks.read_notebook(path.read_bytes(), str(path))


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
    assert notebook.requirements == ()


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


def test_magics_that_mean_nothing_here_keep_their_line(tmp_path: Path) -> None:
    path = written(tmp_path, code("%matplotlib inline\nif x:\n    %config A.b = 1\ny = 1 / 0"))
    (cell,) = read_notebook(path).cells
    assert cell.source == "pass\nif x:\n    pass\ny = 1 / 0"


@pytest.mark.parametrize(
    "line",
    [
        "!pip install -q numpy 'pandas>=2' # why",
        "%pip install numpy --upgrade pandas>=2",
        "!python -m pip install numpy pandas>=2",
        "!{sys.executable} -m pip install numpy pandas>=2",
        "  ! pip3 install numpy pandas>=2".replace("! ", "!"),
    ],
)
def test_what_a_cell_asks_of_pip_is_collected(tmp_path: Path, line: str) -> None:
    notebook = read_notebook(written(tmp_path, code(f"{line}\n1"), code("!pip install numpy")))
    assert notebook.requirements == ("numpy", "pandas>=2")
    assert notebook.cells[0].source.strip() == "pass\n1"


@pytest.mark.parametrize("line", ["!pip install -r x.txt", "%pip install -i https://x numpy"])
def test_an_option_of_pip_that_would_be_lost_is_refused_by_cell_and_line(
    tmp_path: Path, line: str
) -> None:
    path = written(tmp_path, markdown("x"), code(f"1\n{line}"))
    with pytest.raises(UsageError, match=r"cell 2, line 2: pip install -. is not supported"):
        read_notebook(path)


def test_an_unbalanced_quote_for_pip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cell 1, line 1: pip install: No closing quotation"):
        read_notebook(written(tmp_path, code("!pip install 'x")))


@pytest.mark.parametrize(
    "source",
    ['x = """\n!pip install y\n%matplotlib inline\n"""', "%%time\n1", "!ls", "await f('\\d')\n"],
)
def test_other_lines_are_left_to_the_context(tmp_path: Path, source: str) -> None:
    notebook = read_notebook(written(tmp_path, code(source)))
    assert notebook.cells[0].source == source
    assert notebook.requirements == ()


def test_a_string_that_looks_like_a_magic_may_stand_beside_a_regex(tmp_path: Path) -> None:
    source = 'x = """\n%matplotlib inline\n"""; y = "\\d"; await z'
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
