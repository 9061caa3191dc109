"""Parameters of a notebook, given and typed as papermill does: a cell after the one tagged
`parameters` sets them anew."""

from __future__ import annotations

import ast
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.jobs.notebook_format import Json, cells_of, new_code_cell, tags_of, text
from e2brun.jobs.parsing import tree_of
from e2brun.values import is_list, is_table, suggestion, toml_tables

_LIMIT = 1024 * 1024
_TAG, _INJECTED = "parameters", "injected-parameters"
_NAME = re.compile(r"[^\W\d]\w*")
_COMMENT = {"java": "//", "javascript": "//", "typescript": "//"}
_ASSIGNED = r"(?<![\w.]){}[ \t]*(?::[^=\n]*)?(?:=(?!=)|<-)"
_LONGEST = 8192  # characters of a line, or of a cell that is parsed: a stranger wrote it


def given_parameters(
    words: Sequence[str], raw_words: Sequence[str], file: str | None
) -> dict[str, object]:
    """Of a TOML file, then those of the command line. Raises UsageError."""
    found = {} if file is None else _from_file(Path(file))
    for option, given in (("-p", words), ("-r", raw_words)):
        for word in given:
            name, equals, value = word.partition("=")
            if not equals:
                raise UsageError(f"{option} {word[:80]}: write {option} NAME=VALUE")
            found[name] = _typed(value) if option == "-p" else value
    for name in found:
        if not _NAME.fullmatch(name):
            raise UsageError(f"parameter {name[:40]!r}: not a name")
    return found


def _from_file(path: Path) -> dict[str, object]:
    with UsageError.of_system(f"--params {path}"), path.open("rb") as file:
        content = file.read(_LIMIT + 1)
    if len(content) > _LIMIT:
        raise UsageError(f"--params {path}: more than {_LIMIT // 1024**2} MiB of parameters")
    try:
        return toml_tables(content.decode())
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"--params {path}: not valid TOML: {reason}") from error


def _typed(value: str) -> object:
    """papermill's rules."""
    constants: dict[str, object] = {"True": True, "False": False, "None": None}
    if value in constants:
        return constants[value]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:  # also of a whole number of more than 4300 digits
            continue
    return value


def inject(document: Json, parameters: Mapping[str, object], language: str, where: str) -> Json:
    """The document with a cell that sets them: in the place of an earlier one, after the cell
    tagged `parameters`, or first. Raises UsageError for one that the notebook does not know."""
    cells = cells_of(document)
    declared, earlier = _tagged(cells, _TAG), _tagged(cells, _INJECTED)
    _check_known(cells, declared, parameters, language, where)
    lines = [f"{_COMMENT.get(language, '#')} Parameters"]
    for name, value in parameters.items():
        try:
            lines.append(_WRITERS[language](name, value))
        except _Unsayable as error:
            message = f"{where}: parameter {name}: {language} has no {error} here"
            raise UsageError(message) from None
    cell = new_code_cell(document, "\n".join(lines) + "\n", _INJECTED)
    if earlier is not None:
        if "id" in cells[earlier]:
            cell["id"] = cells[earlier]["id"]
        return {**document, "cells": [*cells[:earlier], cell, *cells[earlier + 1 :]]}
    place = 0 if declared is None else declared + 1
    return {**document, "cells": [*cells[:place], cell, *cells[place:]]}


def _tagged(cells: Sequence[Json], tag: str) -> int | None:
    return next((n for n, cell in enumerate(cells) if tag in tags_of(cell)), None)


def _check_known(
    cells: Sequence[Json],
    declared: int | None,
    parameters: Mapping[str, object],
    language: str,
    where: str,
) -> None:
    """Known is what the cell tagged `parameters` sets; without one, what any cell mentions."""
    code = [text(c.get("source")) for c in cells if c.get("cell_type") == "code"]
    source = "\n".join(code) if declared is None else text(cells[declared].get("source"))
    names = _set_names(source) if language == "python" and declared is not None else None
    for name in parameters:
        if names is not None:
            known = name in names
        else:
            pattern = re.compile(rf"\b{name}\b" if declared is None else _ASSIGNED.format(name))
            lines = (line[:_LONGEST] for line in source.splitlines())
            known = any(pattern.search(line) for line in lines)
        if not known:
            hint = suggestion(name, names or ())[:200]
            raise UsageError(f"{where}: the notebook has no parameter {name!r}{hint}")


def _set_names(source: str) -> set[str] | None:
    """What the code assigns; None where it is not plain Python (magics), or very long."""
    tree = tree_of(source) if len(source) <= _LONGEST else None
    if tree is None:
        return None
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


class _Unsayable(Exception):
    """The language has no literal for such a value."""


def _quoted(value: object) -> str:
    return '"' + str(value).encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def _python(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if is_list(value):
        return f"[{', '.join(map(_python, value))}]"
    if is_table(value):
        return f"{{{', '.join(f'{_quoted(key)}: {_python(item)}' for key, item in value.items())}}}"
    return _quoted(value)  # dates too, as papermill has it


def _bash(value: object) -> str:
    if is_table(value):
        raise _Unsayable("tables")
    if is_list(value):
        return f"({' '.join(map(_bash, value))})"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else shlex.quote(str(value))


def _r(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "NULL" if value is None else str(value).upper()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Inf"
    if isinstance(value, (int, float)):
        return repr(value)
    if is_list(value):
        return f"list({', '.join(map(_r, value))})"
    if is_table(value):
        return (
            f"list({', '.join(f'{json.dumps(key)} = {_r(item)}' for key, item in value.items())})"
        )
    return json.dumps(str(value))


def _javascript(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if is_list(value):
        return f"[{', '.join(map(_javascript, value))}]"
    if is_table(value):
        pairs = (f"{json.dumps(key)}: {_javascript(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    plain = value is None or isinstance(value, (bool, int, float))
    return json.dumps(value if plain else str(value))


def _java(value: object) -> str:
    if value is None or isinstance(value, (list, dict)):
        raise _Unsayable("literal of that type")
    if isinstance(value, float) and not math.isfinite(value):
        return "Double.NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}1.0 / 0.0"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**31:
        return f"{value}L"
    return json.dumps(value if isinstance(value, (bool, int, float)) else str(value))


_WRITERS: Mapping[str, Callable[[str, object], str]] = {
    "python": lambda name, value: f"{name} = {_python(value)}",
    "bash": lambda name, value: f"{name}={_bash(value)}",
    "r": lambda name, value: f"{name.lstrip('_')} = {_r(value)}",
    "javascript": lambda name, value: f"void ({name} = {_javascript(value)});",
    "typescript": lambda name, value: f"void ({name} = {_javascript(value)});",
    "java": lambda name, value: f"var {name} = {_java(value)};",
}
