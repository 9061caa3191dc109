"""From a `[[check]]` table to the checks in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from e2brun.errors import UsageError
from e2brun.pipeline.schema import (
    CheckTable,
    FileTable,
    GenerateTable,
    Stream,
    TestsTable,
    TextTable,
)
from e2brun.stages.step import Judge
from e2brun.stages.template import placeholders
from e2brun.values import is_table

# A last line that leaves by itself: nothing can come after it.
_LEAVES = re.compile(r"\b(?:_?exit|quit|main)\s*\(|\bSystemExit\b")


def tests_follow(table: GenerateTable) -> bool:
    """Whether the pipeline itself ends what it runs, `check({{entry_point}})` after `{{code}}`:
    then an exit code of 0 says something of these tests only if they were come to."""
    lines = (table.code or "").rstrip().splitlines()
    last = lines[-1] if lines and table.name.endswith(".py") else ""
    return (
        bool(placeholders("\n".join(lines[:-1])))
        and bool(re.sub(r"{{.*?}}", "", last).strip())
        and not _LEAVES.search(last)
    )


def judges(table: CheckTable, *, whole: bool = False) -> Iterator[Judge]:
    """In the order of the schema; `whole`: an exit code of 0 is one of the whole program, unless
    the table says otherwise. Raises UsageError."""
    if table.exit_code is not None:
        from e2brun.stages.check.exits import ExitCode

        yield ExitCode(table.exit_code)
    for stream, wanted in (("stdout", table.stdout), ("stderr", table.stderr)):
        if wanted is not None:
            yield _text(cast("Stream", stream), wanted)
    if table.json is not None:
        from e2brun.stages.check.json_text import JsonCheck

        yield JsonCheck(_schema(table.json.schema), table.json.equals, table.json.stream)
    if table.numbers is not None:
        from e2brun.stages.check.numbers import NumbersCheck

        yield NumbersCheck(**vars(table.numbers))
    if table.results is not None:
        from e2brun.stages.check.results import ResultsCheck

        yield ResultsCheck(**vars(table.results))
    if table.file is not None:
        yield from _file(table.file)
    yield from _bounds(table, whole=whole)


def _bounds(table: CheckTable, *, whole: bool) -> Iterator[Judge]:
    from e2brun.stages.check.exits import Completed, MaxMemory, MaxTime, NoStderr

    implied = whole and table.exit_code in {0, "0"}
    if table.completed or (implied and table.completed is None):
        yield Completed()
    if table.max_time is not None:
        yield MaxTime(table.max_time)
    if table.max_memory is not None:
        yield MaxMemory(table.max_memory)
    if table.no_stderr:
        yield NoStderr()
    if table.tests is not None:
        from e2brun.stages.check.tests import TestsCheck

        tests = table.tests if isinstance(table.tests, TestsTable) else TestsTable(file=table.tests)
        yield TestsCheck(**vars(tests))


def _text(stream: Stream, wanted: str | TextTable) -> Judge:
    from e2brun.stages.check.text import TextCheck

    if isinstance(wanted, str):
        return TextCheck(stream, equals=wanted)
    return TextCheck(stream, **vars(wanted))


def _file(table: FileTable) -> Iterator[Judge]:
    values: Mapping[str, object] = table.equals if isinstance(table.equals, Mapping) else {}
    text = None if isinstance(table.equals, Mapping) else table.equals
    if table.schema is not None or values:
        from e2brun.stages.check.json_text import JsonCheck

        yield JsonCheck(_schema(table.schema), values, file=table.path)
        if text is None and not (table.contains or table.not_contains or table.matches):
            return
    from e2brun.stages.check.text import FileCheck

    yield FileCheck(
        table.path, table.exists, text, table.contains, table.not_contains, table.matches
    )


def _schema(given: Mapping[str, object] | Path | None) -> Mapping[str, object] | None:
    if not isinstance(given, Path):
        return given
    try:
        read: object = json.loads(given.read_bytes())
    except (ValueError, OSError) as error:
        raise UsageError(f"{given.name} is not JSON: {error}") from error
    if not is_table(read):
        raise UsageError(f"{given.name} is not a JSON Schema: it holds no object")
    return read
