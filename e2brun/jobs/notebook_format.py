"""A notebook's JSON, checked and brought to the shape of nbformat 4, and its language."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from e2brun.errors import UsageError
from e2brun.values import is_list, is_table, refuse_constant

Json = dict[str, object]

_KINDS = frozenset({"code", "markdown", "raw"})
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def parse(content: bytes, where: str) -> Json:
    """A document of nbformat 4, from 3 or 4. Raises UsageError with one line of what is wrong."""
    try:
        document: object = json.loads(content.decode("utf-8-sig"), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not a notebook: not valid JSON ({error})") from error
    if not is_table(document):
        raise UsageError(f"{where}: not a notebook: not a JSON object")
    version = document.get("nbformat")
    if version == 3:
        document = _from_version_3(document)
    elif version != 4:
        raise UsageError(
            f"{where}: a notebook of nbformat {str(version)[:40]}, only 3 and 4 are read; "
            "convert it: jupyter nbconvert --to notebook"
        )
    return _completed(document, where)


def table(value: object) -> Mapping[str, object]:
    """A JSON object, or an empty one for what is none."""
    return value if is_table(value) else {}


def text(value: object) -> str:
    """nbformat's multiline string: one string, or a list of pieces to join as they are."""
    if is_list(value):
        return "".join(str(piece) for piece in value)
    return value if isinstance(value, str) else ""


def cells_of(document: Json) -> list[Json]:
    return cast("list[Json]", document["cells"])


def tags_of(cell: Mapping[str, object]) -> frozenset[str]:
    tags = table(cell.get("metadata")).get("tags")
    found = tags if is_list(tags) else []
    return frozenset(tag for tag in found if isinstance(tag, str))


def new_code_cell(document: Json, source: str, tag: str) -> Json:
    """A cell for a document, with an id where its cells have one."""
    cell: Json = {"cell_type": "code", "execution_count": None, "metadata": {"tags": [tag]}}
    if cast("int", document["nbformat_minor"]) >= 5:
        cell["id"] = _free(tag, {str(other.get("id")) for other in cells_of(document)})
    return {**cell, "outputs": [], "source": source}


def _completed(document: Json, where: str) -> Json:
    """Every field that nbformat demands is there; everything else is as it was."""
    cells = document.get("cells")
    if not isinstance(cells, list) or not cells:
        raise UsageError(f"{where}: not a notebook: it has no cells")
    found = cast("list[Json]", cells)
    for number, cell in enumerate(found, 1):
        kind = table(cell).get("cell_type")
        if not isinstance(kind, str) or kind not in _KINDS:
            shown = f"of unknown kind {str(kind)[:40]!r}" if kind is not None else "no cell at all"
            raise UsageError(f"{where}: cell {number} is {shown}")
    whole: Json = {**document, "cells": [_with_fields(cell) for cell in found]}
    whole["metadata"] = _metadata(document.get("metadata"))
    minor = whole["nbformat_minor"] = _minor(document, cells_of(whole))
    if minor >= 5:
        _give_ids(cells_of(whole))
    return whole


def _with_fields(cell: Json) -> Json:
    whole: Json = {**cell, "source": cell.get("source", "")}
    if not isinstance(cell.get("metadata"), dict):
        whole["metadata"] = {}
    if not isinstance(whole["source"], (str, list)):
        whole["source"] = ""
    return whole


def _metadata(given: object) -> Json:
    metadata = dict(table(given))
    kernel = metadata.get("kernelspec")
    if is_table(kernel):
        name = kernel.get("name") or kernel.get("language") or "python3"
        metadata["kernelspec"] = {"display_name": name, **kernel, "name": name}
    elif kernel is not None:
        del metadata["kernelspec"]
    return metadata


def _minor(document: Json, cells: list[Json]) -> int:
    minor = document.get("nbformat_minor")
    known = minor if isinstance(minor, int) and minor >= 0 else 4
    return max(known, 5) if any("id" in cell for cell in cells) else known


def _give_ids(cells: list[Json]) -> None:
    taken: set[str] = set()
    for number, cell in enumerate(cells, 1):
        identity = cell.get("id")
        valid = isinstance(identity, str) and _ID.fullmatch(identity) and identity not in taken
        cell["id"] = identity if valid else _free(f"cell-{number}", taken)
        taken.add(str(cell["id"]))


def _free(wanted: str, taken: set[str]) -> str:
    number = 1
    name = wanted
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _from_version_3(document: Json) -> Json:
    """As nbformat converts it; outputs are left behind, every run makes new ones."""
    sheets = document.get("worksheets")
    cells: list[object] = []
    languages: set[str] = set()
    for sheet in sheets if is_list(sheets) else []:
        found = table(sheet).get("cells")
        for cell in found if is_list(found) else []:
            fields = table(cell)
            cells.append(_cell_from_version_3(fields))
            if isinstance(language := fields.get("language"), str):
                languages.add(language)
    metadata = {key: v for key, v in table(document.get("metadata")).items() if key != "name"}
    if "kernelspec" not in metadata and languages - {"python"}:
        name = min(languages - {"python"})
        metadata["kernelspec"] = {"name": name, "display_name": name, "language": name}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}


def _cell_from_version_3(cell: Mapping[str, object]) -> Json:
    kind = cell.get("cell_type")
    source = text(cell.get("source"))
    metadata = dict(table(cell.get("metadata")))
    if kind == "code":
        if isinstance(cell.get("collapsed"), bool):
            metadata["collapsed"] = cell["collapsed"]
        return {"cell_type": "code", "metadata": metadata, "source": text(cell.get("input"))}
    if kind == "heading":
        level = cell.get("level")
        marks = "#" * (level if isinstance(level, int) and 0 < level <= 6 else 1)
        title = " ".join(source.splitlines())
        return {"cell_type": "markdown", "metadata": metadata, "source": f"{marks} {title}"}
    kind = "markdown" if kind == "html" else kind
    return {"cell_type": kind, "metadata": metadata, "source": source}


PYTHON = "python"
_KERNELS = {
    "python": ("python", "ipython", "xpython", "py"),
    "bash": ("bash", "sh", "shell", "calysto_bash"),
    "javascript": ("javascript", "js", "node", "nodejs", "ijavascript", "jslab"),
    "typescript": ("typescript", "ts", "tslab", "itypescript", "deno"),
    "r": ("r", "ir", "xr"),
    "java": ("java", "ijava", "rapaio-jupyter-kernel"),
}
_LANGUAGES = {name: language for language, names in _KERNELS.items() for name in names}


def language_of(metadata: Mapping[str, object], where: str) -> str:
    """E2B's name of the language that the metadata name; Python where they name none.

    Kernels have any name (that of a Conda environment, say), languages do not: what a kernel is
    called counts only where nothing else is said. Raises UsageError for an unknown one.
    """
    kernel, info = (table(metadata.get(key)) for key in ("kernelspec", "language_info"))
    for value in (kernel.get("language"), info.get("name"), kernel.get("name")):
        if isinstance(value, str) and value.strip():
            name = value.strip().lower()
            plain = re.sub(r"[\d.]+$", "", name)
            found = _LANGUAGES.get(name) or _LANGUAGES.get(plain) or _of_environment(name)
            if found is None:
                raise UsageError(
                    f"{where}: no kernel for {value[:40]!r}; known are {', '.join(_KERNELS)}"
                )
            return found
    return PYTHON


def _of_environment(name: str) -> str | None:
    """nb_conda_kernels' names: conda-env-NAME-py."""
    parts = name.split("-")
    return _LANGUAGES.get(parts[-1]) if parts[0] == "conda" and len(parts) > 1 else None
