"""The options of `e2brun pipeline run`, once: for Typer, and for a quick reader.

Importing Typer takes longer than a sandbox; see `options`. Here options may stand before or
after FILE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from e2brun.cli.options import Option, read_anywhere


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What was asked on the command line, as it was written."""

    file: str
    on: str | None = None
    settings: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    failed: bool = False
    concurrency: str | None = None
    max_fail: str | None = None
    pass_rate: str | None = None
    reports: tuple[str, ...] = ()
    record: str | None = None
    replay: str | None = None
    no_fetch: bool = False
    store: str | None = None
    no_store: bool = False
    as_json: bool = False
    quiet: bool = False


RUN_OPTIONS = (
    Option(("--on",), "on", "text", "e2b, local or auto.", "WHERE"),
    Option(("--set",), "settings", "words", "execute.timeout=60. Repeatable.", "KEY=VALUE"),
    Option(("--var",), "variables", "words", "A variable. Repeatable.", "NAME=VALUE"),
    Option(("--only",), "only", "words", "Only this case. Repeatable.", "ID"),
    Option(
        ("--failed", "--resume"), "failed", "switch",
        "Leave out what passed before and has not changed.",
    ),
    Option(("--concurrency",), "concurrency", "text", "Cases at once.", "N"),
    Option(("--max-fail",), "max_fail", "text", "Begin no case after N failures.", "N"),
    Option(("--pass-rate",), "pass_rate", "text", "The share that must pass. Default 1.", "P"),
    Option(
        ("--report",), "reports", "words",
        ".json .xml .sarif .md .html, or KIND:FILE. Repeatable.", "FILE",
    ),
    Option(("--record",), "record", "text", "Keep what generators answer.", "FILE"),
    Option(("--replay",), "replay", "text", "Answer from such a file.", "FILE"),
    Option(("--no-fetch",), "no_fetch", "switch", "Fetch nothing that E2B's template has."),
    Option(("--store",), "store", "text", "Record the run in it.", "FILE"),
    Option(("--no-store",), "no_store", "switch", "Record nothing."),
    Option(("--json",), "as_json", "switch", "One JSON document on stdout."),
    Option(("-q", "--quiet"), "quiet", "switch", "Only the result lines."),
)  # fmt: skip


def run_request(values: Mapping[str, object], file: str) -> RunRequest:
    """The request of values by field; repeatable ones are lists or tuples."""
    given: dict[str, object] = {
        name: tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType]
        for name, value in values.items()
        if value is not None
    }
    return RunRequest(file, **given)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # by RUN_OPTIONS


def read_run_quickly(words: list[str]) -> RunRequest | None:
    """What plain words ask for; None: Typer has to look."""
    read = read_anywhere(words, RUN_OPTIONS)
    return run_request(read[0], read[1][0]) if read is not None and len(read[1]) == 1 else None
