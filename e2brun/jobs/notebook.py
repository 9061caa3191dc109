"""Jupyter notebooks: their code cells in order, and the document with a run's outputs in it.

What is not replaced is written back as it was read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from e2brun.errors import UsageError
from e2brun.jobs.notebook_format import Json, cells_of, parse, table, tags_of, text
from e2brun.jobs.notebook_language import PYTHON, language_of
from e2brun.jobs.notebook_outputs import CellRun
from e2brun.sandbox.parsing import is_cell

_WIDGETS = "application/vnd.jupyter.widget-state+json"
_PIP = re.compile(
    r"[ \t]*(?:[!%]pip3?|!(?:\{sys\.executable\}|python3?)[ \t]+-m[ \t]+pip)[ \t]+install\b(.*)"
)
_PIP_FLAGS = re.compile(
    r"-q{1,3}|-U|-y|--(?:quiet|upgrade|user|no-cache-dir|no-input|pre|force-reinstall"
    r"|disable-pip-version-check|break-system-packages)"
)
_LONGEST_LINE = 8192  # characters


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell to run: `index` counts all cells of the document from 0."""

    index: int
    source: str
    may_raise: bool = False


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook as read: its cells that are to run, and what they ask pip for."""

    document: Json = field(repr=False)
    cells: tuple[Cell, ...]
    requirements: tuple[str, ...] = ()
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
    requirements: list[str] = []
    for index, cell in enumerate(cells_of(document)):
        source = text(cell["source"])
        if _is_code(cell) and not _is_skipped(cell) and source.strip():
            if language == PYTHON:
                source = _without_magics(source, requirements, f"{where}: cell {index + 1}")
            found.append(Cell(index, source, "raises-exception" in tags_of(cell)))
    return Notebook(document, tuple(found), tuple(dict.fromkeys(requirements)), language)


def _without_magics(source: str, requirements: list[str], where: str) -> str:
    """Every line stays where it is, and all other magics are IPython's."""
    lines = source.split("\n")
    found = [n for n, line in enumerate(lines) if _PIP.match(line)]
    if not found or is_cell(source):  # such a line may be part of a string
        return source
    for number in found:
        line = lines[number]
        if match := _PIP.match(line):
            requirements += _requirements(match[1], f"{where}, line {number + 1}")
        # `pass`, not nothing: it may be all that an `if` holds.
        lines[number] = f"{line[: len(line) - len(line.lstrip())]}pass"
    return "\n".join(lines)


def _requirements(arguments: str, where: str) -> Iterator[str]:
    import shlex

    if len(arguments) > _LONGEST_LINE:  # shlex takes time by the square of a word's length
        raise UsageError(f"{where}: pip install: the line is too long")
    try:
        words = shlex.split(arguments, comments=True)
    except ValueError as error:
        raise UsageError(f"{where}: pip install: {error}") from error
    for word in words:
        if word.startswith("-") and not _PIP_FLAGS.fullmatch(word):
            raise UsageError(
                f"{where}: pip install {word[:40]} is not supported; "
                "take the line out and use --install or --requirements"
            )
        if not word.startswith("-"):
            yield word


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
