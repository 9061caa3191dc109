"""The options of `e2brun pipeline run`, which may stand before or after FILE."""

from __future__ import annotations

from e2brun.cli.options import (
    MAX_FAIL,
    PASS_RATE,
    REPORTS,
    Request,
    read_plain,
    setting,
    switch,
    text,
    words,
)


class RunRequest(Request):
    """What was asked on the command line, as it was written."""

    file: str = ""
    on: str | None = setting("--on", "e2b, local or auto.", "WHERE")
    settings: tuple[str, ...] = words("--set", "execute.timeout=60. Repeatable.", "KEY=VALUE")
    variables: tuple[str, ...] = words("--var", "A variable. Repeatable.", "NAME=VALUE")
    only: tuple[str, ...] = words("--only", "Only this case. Repeatable.", "ID")
    failed: bool = switch("--failed/--resume", "Leave out what passed before and has not changed.")
    concurrency: str | None = text("--concurrency", "Cases at once.", "N")
    max_fail: str | None = MAX_FAIL
    pass_rate: str | None = PASS_RATE
    reports: tuple[str, ...] = REPORTS
    record: str | None = text("--record", "Keep what generators answer.", "FILE")
    replay: str | None = text("--replay", "Answer from such a file.", "FILE")
    no_fetch: bool = switch("--no-fetch", "Fetch nothing that E2B's template has.")
    store: str | None = setting("--store", "Record the run in it.", "FILE")
    no_store: bool = switch("--no-store", "Record nothing.")
    as_json: bool = switch("--json", "One JSON document on stdout.")
    quiet: bool = switch("-q/--quiet", "Only the result lines.")


def read_run_quickly(line: list[str]) -> RunRequest | None:
    """What a plain line asks for; None: Typer has to look."""
    read = read_plain(RunRequest, line)
    return RunRequest.of(read[0], file=read[1][0]) if read and len(read[1]) == 1 else None
