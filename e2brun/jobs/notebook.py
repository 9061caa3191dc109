"""Jupyter notebooks: their code cells in order, and the document with a run's outputs in it. What
is not replaced is written back as it was read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from e2brun.frozen import Frozen
from e2brun.jobs.notebook_format import (
    PYTHON,
    Json,
    cells_of,
    language_of,
    parse,
    table,
    tags_of,
    text,
)

if TYPE_CHECKING:
    from e2brun.jobs.notebook_outputs import CellRun

_WIDGETS = "application/vnd.jupyter.widget-state+json"


class Cell(Frozen):
    """A code cell to run: `index` counts all cells of the document from 0."""

    index: int
    source: str
    may_raise: bool = False


class Notebook(Frozen):
    """A notebook as read, and its cells that are to run."""

    document: Json
    cells: tuple[Cell, ...]
    language: str = PYTHON


def read_notebook(
    content: bytes, where: str, parameters: Mapping[str, object] | None = None
) -> Notebook:
    """Read a notebook, with parameters set anew. Raises UsageError with one line of why not."""
    document = parse(content, where)
    language = language_of(table(document["metadata"]), where)
    if parameters:
        from e2brun.jobs.notebook_parameters import inject

        document = inject(document, parameters, language, where)
    found: list[Cell] = []
    for index, cell in enumerate(cells_of(document)):
        source = text(cell["source"])
        if _is_code(cell) and not _is_skipped(cell) and source.strip():
            found.append(Cell(index, source, "raises-exception" in tags_of(cell)))
    return Notebook(document, tuple(found), language)


def executed_notebook(
    notebook: Notebook, cell_runs: Sequence[CellRun], widgets: Json | None = None
) -> bytes:
    """The document with the outputs of this run; cells that did not run have none, those that
    were skipped by their tag keep what they had."""
    runs = {run.index: run for run in cell_runs}
    cells = [
        _executed(cell, runs.get(index)) if _is_code(cell) else cell
        for index, cell in enumerate(cells_of(notebook.document))
    ]
    document: Json = {**notebook.document, "cells": cells}
    if widgets:
        state = {"state": widgets, "version_major": 2, "version_minor": 0}
        document["metadata"] = {**table(document["metadata"]), "widgets": {_WIDGETS: state}}
    text = json.dumps(document, ensure_ascii=False, indent=1)
    # Half a surrogate pair has no UTF-8; as \ud83d, which this makes of it, JSON can hold it.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _is_code(cell: Mapping[str, object]) -> bool:
    return cell["cell_type"] == "code"


def _is_skipped(cell: Mapping[str, object]) -> bool:
    return "skip-execution" in tags_of(cell)


def _executed(cell: Json, run: CellRun | None) -> Json:
    executed = dict(cell)
    if _is_skipped(cell):
        executed.setdefault("execution_count", None)
        executed.setdefault("outputs", [])
        return executed
    metadata = table(cell["metadata"])
    if "execution" in metadata:  # when an earlier run did what
        executed["metadata"] = {k: v for k, v in metadata.items() if k != "execution"}
    executed["execution_count"] = run.count if run else None
    executed["outputs"] = run.outputs if run else []
    return executed
