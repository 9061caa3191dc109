"""From `[[case]]`, `[cases]`, `[matrix]` and the files of [generate] to cases with ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path

from e2brun.pipeline.places import Path as KeyPath
from e2brun.pipeline.places import Problem
from e2brun.pipeline.schema import CasesTable, Document
from e2brun.stages.work import Case
from e2brun.values import is_table

MAX_CASES = 100_000
_LONGEST_FIELD = 16 * 1024 * 1024


@dataclass
class Found:
    """Cases, and what is wrong: at a path of the TOML, or at a line of another file."""

    cases: list[Case] = field(default_factory=list[Case])
    at_paths: list[tuple[KeyPath, str]] = field(default_factory=list[tuple[KeyPath, str]])
    elsewhere: list[Problem] = field(default_factory=list[Problem])
    sources: dict[str, KeyPath | str] = field(default_factory=dict[str, KeyPath | str])


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    variables: Mapping[str, object]
    source: KeyPath | str  # where it stands: a path of the TOML, or `cases.csv:3`


def expand(document: Document, directory: Path, variables: Mapping[str, object]) -> Found:
    """Every case; `variables` are what all of them have."""
    found = Found()
    files = _files(document, directory, found)
    rows = list(_rows(document, found))
    grid = list(_grid(document, found))
    if found.at_paths or found.elsewhere:
        return found
    if len(files) * len(rows) * len(grid) > MAX_CASES:
        found.at_paths.append((("matrix",), f"more than {MAX_CASES} cases"))
        return found
    for file, row, (label, values) in product(files, rows, grid):
        case_id = _id(document.pipeline.name, file, row.id, label)
        if case_id in found.sources:
            message = f"there are two cases with the id {case_id!r}"
            if isinstance(row.source, str):
                found.elsewhere.append(Problem(row.source, message))
            else:
                found.at_paths.append((row.source, message))
            continue
        found.sources[case_id] = row.source
        path = directory / file if file else None
        found.cases.append(Case(case_id, {**variables, **row.variables, **values}, path))
    return found


def _id(name: str, file: str, row: str, label: str) -> str:
    base = f"{file}[{row}]" if file and row else file or row or ("" if label else name)
    return f"{base}[{label}]" if base and label else base or label


def _files(document: Document, directory: Path, found: Found) -> list[str]:
    """The candidates, relative to the TOML; one empty name where they come from elsewhere."""
    if not document.generate.files:
        return [""]
    names: dict[str, None] = {}
    for number, pattern in enumerate(document.generate.files):
        path: KeyPath = ("generate", "files", number)
        try:
            matched = sorted(p for p in directory.glob(pattern) if p.is_file())
        except (ValueError, NotImplementedError, IndexError) as error:
            why = "it must be relative to the file" if pattern.startswith("/") else str(error)
            found.at_paths.append((path, f"{pattern!r} is no pattern for files: {why}"))
            continue
        except RecursionError:
            found.at_paths.append((path, "a pattern for files has too many parts"))
            continue
        if not matched:
            from e2brun.pipeline.kinds import missing

            plain = not set(pattern) & set("*?[")
            why = missing(directory / pattern) if plain else "matches no file"
            found.at_paths.append((path, f"{pattern}: {why}"))
        names.update(dict.fromkeys(p.relative_to(directory).as_posix() for p in matched))
    return list(names)


def _rows(document: Document, found: Found) -> Iterator[_Row]:
    if document.cases is not None:
        yield from _rows_of_file(document.cases, found)
        return
    if not document.case:
        yield _Row("", {}, ())
    for number, table in enumerate(document.case):
        path: KeyPath = ("case", number)
        case_id = table.get("id", str(number + 1))
        if not _is_id(case_id):
            found.at_paths.append(((*path, "id"), f"{case_id!r} cannot be the id of a case"))
            continue
        rest = {key: value for key, value in table.items() if key != "id"}
        yield _Row(str(case_id), rest, path)


def _rows_of_file(table: CasesTable, found: Found) -> Iterator[_Row]:
    import csv

    read = _csv if table.file.suffix.lower() == ".csv" else _jsonl
    count = 0
    try:
        for line, row in read(table.file, found):
            where = f"{table.file.name}:{line}"
            count += 1
            case_id = row.pop(table.id, None)
            case_id = str(count) if case_id is None else case_id
            if not _is_id(case_id):
                found.elsewhere.append(Problem(where, f"{case_id!r} cannot be the id of a case"))
                continue
            yield _Row(str(case_id), row, where)
            if count == table.limit:
                return
    except (UnicodeDecodeError, csv.Error) as error:
        found.elsewhere.append(Problem(f"{table.file.name}:{count + 1}", str(error)))
    if not count and not found.elsewhere:
        found.at_paths.append((("cases", "file"), f"{table.file.name} holds no case"))


def _csv(path: Path, found: Found) -> Iterator[tuple[int, dict[str, object]]]:
    import csv

    csv.field_size_limit(_LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="\0", restval="\0")
        for row in reader:
            if "\0" in row or "\0" in row.values():
                many = len(reader.fieldnames or ())
                where = f"{path.name}:{reader.line_num}"
                found.elsewhere.append(Problem(where, f"has not {many} columns as the first line"))
                continue
            yield reader.line_num, dict(row)


def _jsonl(path: Path, found: Found) -> Iterator[tuple[int, dict[str, object]]]:
    import json

    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row: object = json.loads(line)
            except (ValueError, RecursionError) as error:
                found.elsewhere.append(Problem(f"{path.name}:{number}", f"not JSON: {error}"))
                continue
            if not is_table(row):
                found.elsewhere.append(Problem(f"{path.name}:{number}", "not a JSON object"))
                continue
            yield number, row


def _grid(document: Document, found: Found) -> Iterator[tuple[str, dict[str, object]]]:
    """Every combination of the matrix, with its label; one empty one where there is none."""
    for name, values in document.matrix.items():
        if not values:
            found.at_paths.append((("matrix", name), f"matrix.{name} has no value"))
    if prod(map(len, document.matrix.values())) > MAX_CASES:
        found.at_paths.append((("matrix",), f"more than {MAX_CASES} cases"))
        return
    for combination in product(*document.matrix.values()):
        chosen: dict[str, object] = dict(zip(document.matrix, combination, strict=True))
        yield ",".join(f"{name}={value}" for name, value in chosen.items()), chosen


def _is_id(value: object) -> bool:
    text = str(value)
    plain = isinstance(value, str | int) and not isinstance(value, bool)
    return plain and 0 < len(text) <= 200 and text.isprintable() and text == text.strip()
