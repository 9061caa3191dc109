"""Jupyter notebooks: their code cells in order, and the document with a run's outputs in it.

nbformat 4 only. What is not replaced is written back as it was read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from e2brun.errors import UsageError
from e2brun.sandbox.contract import Execution, Outcome, Result

Json = dict[str, object]

_MIME = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell to run: `index` counts all cells of the document from 0."""

    index: int
    source: str


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook as read, and its cells that hold code."""

    document: Json = field(repr=False)
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class CellRun:
    """How one cell ended, with its output; `count` is the number in its In[ ]."""

    index: int
    execution: Execution
    stdout: str
    stderr: str
    count: int


def read_notebook(path: Path) -> Notebook:
    """Read a notebook. Raises UsageError for what is not one in Python and nbformat 4."""
    document = _parsed(path)
    version, minor = document.get("nbformat"), document.get("nbformat_minor")
    if version != 4:
        raise UsageError(
            f"{path}: a notebook of nbformat {version!r}.{minor!r}, only 4 is read; "
            "convert it: jupyter nbconvert --to notebook"
        )
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise UsageError(f"{path}: not a notebook: it has no cells")
    _check_language(document, path)
    found: list[Cell] = []
    for index, cell in enumerate(cast("list[object]", cells)):
        fields = _mapping(cell)
        source = _text(fields.get("source"))
        if _is_code(fields) and source.strip():
            found.append(Cell(index, source))
    return Notebook(document, tuple(found))


def _parsed(path: Path) -> Json:
    try:
        document: object = json.loads(path.read_bytes().decode("utf-8-sig"), parse_constant=_refuse)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a notebook: not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise UsageError(f"{path}: not a notebook: not a JSON object")
    return cast("Json", document)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON number")


def _check_language(document: Json, path: Path) -> None:
    metadata = _mapping(document.get("metadata"))
    languages = (
        _mapping(metadata.get("kernelspec")).get("language"),
        _mapping(metadata.get("language_info")).get("name"),
    )
    for language in languages:
        if isinstance(language, str) and language.lower() not in {"python", "ipython", ""}:
            raise UsageError(f"{path}: a notebook in {language[:40]!r}; only Python ones can run")


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Json", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    """nbformat's multiline string: one string, or a list of pieces to join as they are."""
    if isinstance(value, list):
        return "".join(str(piece) for piece in cast("list[object]", value))
    return value if isinstance(value, str) else ""


def executed_notebook(notebook: Notebook, cell_runs: Sequence[CellRun]) -> bytes:
    """The document with the outputs of this run; cells that did not run have none."""
    runs = {run.index: run for run in cell_runs}
    document = dict(notebook.document)
    document.setdefault("metadata", {})
    document.setdefault("nbformat_minor", 4)
    cells: list[object] = []
    for index, cell in enumerate(cast("list[object]", document["cells"])):
        fields = _mapping(cell)
        cells.append(_executed(fields, runs.get(index)) if _is_code(fields) else cell)
    document["cells"] = cells
    text = json.dumps(document, ensure_ascii=False, indent=1)
    # Half a surrogate pair has no UTF-8; as \ud83d, which this makes of it, JSON can hold it.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _is_code(cell: Mapping[str, object]) -> bool:
    return cell.get("cell_type") == "code"


def _executed(cell: Mapping[str, object], run: CellRun | None) -> Json:
    executed = dict(cell)
    executed.setdefault("metadata", {})
    executed["execution_count"] = run.count if run else None
    executed["outputs"] = _outputs(run) if run else []
    return executed


def _outputs(run: CellRun) -> list[Json]:
    outputs: list[Json] = [
        {"output_type": "stream", "name": name, "text": text.splitlines(keepends=True)}
        for name, text in (("stdout", run.stdout), ("stderr", run.stderr))
        if text
    ]
    for result in run.execution.results:
        if not (data := _bundle(result)):
            continue
        output: Json = {"output_type": "display_data", "data": data, "metadata": {}}
        if result.get("is_main_result"):
            output |= {"output_type": "execute_result", "execution_count": run.count}
        outputs.append(output)
    if error := _error_output(run.execution):
        outputs.append(error)
    return outputs


def _error_output(execution: Execution) -> Json | None:
    """What was raised; for an end that raised nothing, such as a timeout, that end."""
    error = execution.error
    if error is None and execution.outcome is Outcome.OK:
        return None
    name = error.name if error else execution.outcome.value
    value = error.value if error else execution.detail
    lines = error.traceback.splitlines() if error else [f"{name}: {value}" if value else name]
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": lines}


def _bundle(result: Result) -> Json:
    """Mime type to content. What strict JSON cannot say is left out, as is E2B's own."""
    found: Json = {}
    for mime, value in _mapping(result.get("extra")).items():
        if "/" in mime and (isinstance(value, str) or mime.endswith("json")):
            found[mime] = value
    for key, mime in _MIME.items():
        value = result.get(key)
        if value is not None and (key == "json" or isinstance(value, str)):
            found[mime] = value
    return {mime: value for mime, value in found.items() if _is_json(value)}


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
