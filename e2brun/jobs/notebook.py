"""Jupyter notebooks: their code cells in order, and the document with a run's outputs in it.

nbformat 4 only. What is not replaced is written back as it was read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from e2brun.errors import UsageError
from e2brun.sandbox.contract import Execution, Outcome, Result
from e2brun.sandbox.parsing import is_cell

Json = dict[str, object]

_PIP = re.compile(
    r"[ \t]*(?:[!%]pip3?|!(?:\{sys\.executable\}|python3?)[ \t]+-m[ \t]+pip)[ \t]+install\b(.*)"
)
# What these set up is set up already, or means nothing outside Jupyter.
_IGNORED = re.compile(r"[ \t]*%(?:matplotlib|config|load_ext|reload_ext)\b")
_PIP_FLAGS = re.compile(
    r"-q{1,3}|-U|-y|--(?:quiet|upgrade|user|no-cache-dir|no-input|pre|force-reinstall"
    r"|disable-pip-version-check|break-system-packages)"
)
_LONGEST_LINE = 8192  # characters
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
    """A notebook as read: its cells that hold code, and what they ask pip for."""

    document: Json = field(repr=False)
    cells: tuple[Cell, ...]
    requirements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellRun:
    """How one cell ended, with its output; `count` is the number in its In[ ]."""

    index: int
    execution: Execution
    stdout: str
    stderr: str
    count: int


def read_notebook(content: bytes, name: str) -> Notebook:
    """Read a notebook called `name`. Raises UsageError: not one in Python and nbformat 4."""
    document = _parsed(content, name)
    version, minor = document.get("nbformat"), document.get("nbformat_minor")
    if version != 4:
        raise UsageError(
            f"{name}: a notebook of nbformat {version!r}.{minor!r}, only 4 is read; "
            "convert it: jupyter nbconvert --to notebook"
        )
    cells = document.get("cells")
    if not isinstance(cells, list):
        raise UsageError(f"{name}: not a notebook: it has no cells")
    _check_language(document, name)
    found: list[Cell] = []
    requirements: list[str] = []
    for index, cell in enumerate(cast("list[object]", cells)):
        fields = _mapping(cell)
        source = _text(fields.get("source"))
        if _is_code(fields) and source.strip():
            where = f"{name}: cell {index + 1}"
            found.append(Cell(index, _without_magics(source, requirements, where)))
    return Notebook(document, tuple(found), tuple(dict.fromkeys(requirements)))


def _parsed(content: bytes, name: str) -> Json:
    try:
        document: object = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not a notebook: not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise UsageError(f"{name}: not a notebook: not a JSON object")
    return cast("Json", document)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON number")


def _check_language(document: Json, name: str) -> None:
    metadata = _mapping(document.get("metadata"))
    languages = (
        _mapping(metadata.get("kernelspec")).get("language"),
        _mapping(metadata.get("language_info")).get("name"),
    )
    for language in languages:
        if isinstance(language, str) and language.lower() not in {"python", "ipython", ""}:
            raise UsageError(f"{name}: a notebook in {language[:40]!r}; only Python ones can run")


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Json", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    """nbformat's multiline string: one string, or a list of pieces to join as they are."""
    if isinstance(value, list):
        return "".join(str(piece) for piece in cast("list[object]", value))
    return value if isinstance(value, str) else ""


def _without_magics(source: str, requirements: list[str], where: str) -> str:
    """Every line stays where it is. Other magics stay too: the context says what is wrong."""
    lines = source.split("\n")
    found = [n for n, line in enumerate(lines) if _IGNORED.match(line) or _PIP.match(line)]
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
