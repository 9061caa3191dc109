"""Notebooks read as cells, and written back with what a run put out."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from e2brun.errors import UsageError
from e2brun.jobs.notebook import Notebook, executed_notebook
from e2brun.jobs.notebook import read_notebook as read
from e2brun.jobs.notebook_outputs import CellRun

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


def read_notebook(path: Path) -> Notebook:
    return read(path.read_bytes(), str(path))


def run(index: int, text: str = "new\n") -> CellRun:
    return CellRun(index, 1, [{"output_type": "stream", "name": "stdout", "text": [text]}])


def executed(path: Path, *runs: CellRun) -> Json:
    """As the reference implementation reads it, which it must find valid."""
    made = executed_notebook(read_notebook(path), runs)
    nbformat.validate(nbformat.reads(made.decode(), as_version=4))
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
        ('{"nbformat": 2, "worksheets": []}', "jupyter nbconvert"),
        ('{"nbformat": 3, "worksheets": []}', "it has no cells"),
        ('{"nbformat": 4, "nbformat_minor": 5}', "it has no cells"),
        ('{"nbformat": 4, "cells": {}}', "it has no cells"),
        ('{"nbformat": 4, "cells": []}', "it has no cells"),
        ('{"nbformat": 4, "cells": [{"cell_type": "raw"}, 1]}', "cell 2 is no cell at all"),
        ('{"nbformat": 4, "cells": [{"cell_type": "video"}]}', "cell 1 is of unknown kind 'video'"),
        ('{"nbformat": 4, "cells": [{"cell_type": ["code"]}]}', "cell 1 is of unknown kind"),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "some.ipynb"
    path.write_text(text)
    with pytest.raises(UsageError, match=why) as caught:
        read_notebook(path)
    assert "\n" not in str(caught.value)
    assert "some.ipynb: " in str(caught.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UsageError, match="not a notebook"):
        read(b"\xff", "some.ipynb")


def test_what_a_document_lacks_is_added(tmp_path: Path) -> None:
    path = tmp_path / "some.ipynb"
    cells = [
        {"cell_type": "code", "source": 3},
        {"cell_type": "markdown", "id": "no id!", "metadata": 1},
    ]
    path.write_text(json.dumps({"nbformat": 4, "cells": cells, "metadata": {"kernelspec": {}}}))
    assert read_notebook(path).cells == ()
    document = executed(path)
    assert document["nbformat_minor"] == 5
    assert [cell["id"] for cell in document["cells"]] == ["cell-1", "cell-2"]


KERNELS = [
    ({}, "python"),
    ({"kernelspec": {"name": "tf2", "language": "Python"}}, "python"),
    ({"kernelspec": {"name": "python3.12"}}, "python"),
    ({"kernelspec": {"name": "conda-env-x-py"}}, "python"),
    ({"language_info": {"name": "ipython"}}, "python"),
    ({"kernelspec": {"name": "bash"}}, "bash"),
    ({"kernelspec": {"name": "ir", "language": "R"}}, "r"),
    (
        {"kernelspec": {"name": "ijavascript"}, "language_info": {"name": "javascript"}},
        "javascript",
    ),
    ({"kernelspec": {"name": "deno", "language": "typescript"}}, "typescript"),
    ({"kernelspec": {"name": "java", "language": "java"}}, "java"),
]


@pytest.mark.parametrize(("metadata", "language"), KERNELS)
def test_the_language_is_what_the_metadata_say(
    tmp_path: Path, metadata: Json, language: str
) -> None:
    assert read_notebook(written(tmp_path, code("1"), metadata=metadata)).language == language


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"kernelspec": {"name": "julia-1.9", "language": "julia"}}, "julia"),
        ({"language_info": {"name": "c++"}}, "c\\+\\+"),
        ({"kernelspec": {"name": "mystery"}}, "mystery"),
    ],
)
def test_an_unknown_kernel_is_refused_by_name(tmp_path: Path, metadata: Json, name: str) -> None:
    with pytest.raises(UsageError, match=f"no kernel for '{name}'; known are python, bash"):
        read_notebook(written(tmp_path, code("1"), metadata=metadata))


def test_version_3_is_read(tmp_path: Path) -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": ["A", " title"], "metadata": {}},
        {"cell_type": "code", "language": "python", "collapsed": True, "input": ["x = 1\n", "x"],
         "outputs": [{"output_type": "pyout", "text": "1"}], "prompt_number": 7, "metadata": {}},
        {"cell_type": "html", "source": "<b>", "metadata": {}},
    ]  # fmt: skip
    path = tmp_path / "old.ipynb"
    path.write_text(
        json.dumps(
            {
                "nbformat": 3,
                "nbformat_minor": 0,
                "metadata": {"name": "old"},
                "worksheets": [{"cells": cells, "metadata": {}}],
            }
        )
    )
    assert [cell.source for cell in read_notebook(path).cells] == ["x = 1\nx"]
    document = executed(path, run(1))
    assert (document["nbformat"], document["metadata"]) == (4, {})
    heading, cell, html = document["cells"]
    assert (heading["cell_type"], heading["source"]) == ("markdown", "## A title")
    assert html["cell_type"] == "markdown"
    assert (cell["execution_count"], cell["metadata"]) == (1, {"collapsed": True})


def test_the_cells_of_version_3_are_in_their_language(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "language": "ruby", "input": "1"}]
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps({"nbformat": 3, "worksheets": [{"cells": cells}]}))
    with pytest.raises(UsageError, match="no kernel for 'ruby'"):
        read_notebook(path)


def test_a_cell_tagged_skip_execution_keeps_what_it_had(tmp_path: Path) -> None:
    path = written(tmp_path, code("x", metadata={"tags": ["skip-execution"]}), code("y"))
    assert [cell.source for cell in read_notebook(path).cells] == ["y"]
    skipped, _ = executed(path, run(1))["cells"]
    assert (skipped["execution_count"], len(skipped["outputs"])) == (9, 1)


def test_a_cell_tagged_raises_exception_may_raise(tmp_path: Path) -> None:
    tags = {"tags": ["remove-input", "raises-exception"]}
    notebook = read_notebook(written(tmp_path, code("x", metadata=tags), code("y")))
    assert [cell.may_raise for cell in notebook.cells] == [True, False]


def test_when_an_earlier_run_did_what_is_not_told_of_this_one(tmp_path: Path) -> None:
    times = {"execution": {"iopub.status.busy": "2020-01-01T00:00:00Z"}, "scrolled": True}
    (cell,) = executed(written(tmp_path, code("x", metadata=times)), run(0))["cells"]
    assert cell["metadata"] == {"scrolled": True}


def test_large_outputs_of_an_earlier_run_are_dropped(tmp_path: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["x" * 1000] * 30_000}
    path = written(tmp_path, code("x", outputs=[output]))
    assert len(executed_notebook(read_notebook(path), [])) < 1000


@pytest.mark.parametrize(
    "source",
    [
        'x = """\n!pip install y\n%matplotlib inline\n"""',
        "%%time\n1",
        "!ls",
        "!pip install x",
        "await f('\\d')\n",
    ],
)
def test_other_lines_are_left_to_the_context(tmp_path: Path, source: str) -> None:
    notebook = read_notebook(written(tmp_path, code(source)))
    assert notebook.cells[0].source == source


def test_a_string_that_looks_like_a_magic_may_stand_beside_a_regex(tmp_path: Path) -> None:
    source = 'x = """\n%matplotlib inline\n"""; y = "\\d"; await z'
    assert read_notebook(written(tmp_path, code(source))).cells[0].source == source


def test_cells_that_did_not_run_have_no_output(tmp_path: Path) -> None:
    ran, not_run = executed(written(tmp_path, code("x"), code("y")), run(0))["cells"]
    assert (ran["execution_count"], ran["outputs"][0]["text"]) == (1, ["new\n"])
    assert (not_run["execution_count"], not_run["outputs"]) == (None, [])


def test_everything_else_is_written_back_as_it_was(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        markdown("# é 漢"),
        code(["%matplotlib inline\n", "x"], metadata={"tags": ["a"], "mine": {"b": 1}}),
        {"cell_type": "raw", "metadata": {}, "source": "r"},
        metadata={"kernelspec": {"name": "bash", "display_name": "P"}, "mine": [1, {"c": None}]},
    )
    before = json.loads(path.read_text())
    after = executed(path, run(1))
    assert list(after) == list(before)
    for document in (before, after):
        document["cells"][1]["outputs"] = document["cells"][1]["execution_count"] = None
    assert after == before


def test_an_older_minor_format_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "some.ipynb"
    cell = {key: value for key, value in code("x").items() if key != "id"}
    path.write_text(json.dumps({"cells": [cell], "nbformat": 4, "metadata": {}}))
    document = executed(path, run(0, "é"))
    assert document["nbformat_minor"] == 4


def test_half_a_surrogate_pair_does_not_break_the_file(tmp_path: Path) -> None:
    made = executed_notebook(read_notebook(written(tmp_path, code("x"))), [run(0, "\udc80")])
    assert json.loads(made.decode())["cells"][0]["outputs"][0]["text"] == ["\udc80"]
