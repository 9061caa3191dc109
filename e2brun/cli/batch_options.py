"""The options of `e2brun batch`: its own, and what there is one of for every program."""

from __future__ import annotations

from e2brun.cli.options import (
    MAX_FAIL,
    PASS_RATE,
    REPORTS,
    ExecRequest,
    ExecutionRequest,
    choice,
    read_plain,
    setting,
    switch,
    text,
)


class BatchRequest(ExecutionRequest):
    """What was asked on the command line, as it was written."""

    programs: tuple[str, ...] = ()  # files
    jsonl: str | None = text("--jsonl", "A program a line (also gzipped); - for stdin.", "FILE")
    code_field: str | None = text("--code-field", "Default: code.", "FIELD")
    id_field: str | None = text("--id-field", "Default: id, task_id, or the line.", "FIELD")
    stdin_field: str | None = text("--stdin-field", "A text, or one for each test.", "FIELD")
    expect_field: str | None = text("--expect-field", "What is to be printed.", "FIELD")
    format: str | None = text("--format", "humaneval, mbpp or evalplus.", "NAME")
    samples: str | None = text("--samples", "Answers to its problems; gives pass@k.", "FILE")
    skip_bad: bool = switch("--skip-bad", "Leave out lines that are no case; count them.")
    completed: bool | None = choice(
        "--completed/--no-completed", "Passed only at its last line (default with --format)."
    )
    concurrency: str | None = text("--concurrency", "At once: a number, or auto.", "N")
    reuse: bool = switch(
        "--reuse", "Several cases in one sandbox: they see what others leave there."
    )
    repeat: str | None = text("--repeat", "Run each N times; all have to pass.", "N")
    shard: str | None = text("--shard", "Only part I of N: 2/8.", "I/N")
    out: str | None = text("-o/--out", "Results as JSON lines, as they come.", "FILE")
    resume: str | None = text("--resume", "Go on with this run (or @last).", "RUN")
    failed: bool = switch("--failed", "Leave out what passed and has not changed.")
    max_fail: str | None = MAX_FAIL
    pass_rate: str | None = PASS_RATE
    budget: str | None = text("--budget", "Of sandboxes: 5m, or $2 (an estimate).", "LIMIT")
    reports: tuple[str, ...] = REPORTS
    as_json: bool = switch("--json", "One JSON document on stdout.")
    quiet: bool = switch("-q/--quiet", "Only the result lines.")
    max_output: str | None = setting(
        "--max-output", "Of each stream; 0: no limit. Default here 256K.", "SIZE"
    )

    @property
    def execution(self) -> ExecRequest:
        return ExecRequest.of(
            {one.field: getattr(self, one.field) for one in ExecutionRequest.options}
        )


def read_batch_quickly(line: list[str]) -> BatchRequest | None:
    """What a plain line asks for; None: Typer has to look."""
    read = read_plain(BatchRequest, line)
    return None if read is None else BatchRequest.of(read[0], programs=tuple(read[1]))
