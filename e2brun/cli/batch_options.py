"""The options of `e2brun batch`, once: for Typer, and for a quick reader (see `options`)."""

from __future__ import annotations

from collections.abc import Mapping

from e2brun.cli.execution import ExecRequest
from e2brun.cli.options import OPTIONS, Option, read_anywhere, request_from
from e2brun.frozen import Frozen

# What there is one of for every program: the rest of exec's are for one program alone.
_EXECUTION = (
    "cell", "on", "timeout", "template", "install", "requirements", "auto_install",
    "install_timeout", "install_size", "files", "with_imports", "env", "env_files", "cwd",
    "python", "memory", "disk", "processes", "max_output", "network", "fetch", "api_key",
    "store", "no_store",
)  # fmt: skip
_CAP = Option(
    ("--max-output",), "max_output", "text", "Of each stream; 0: no limit. Default here 256K.",
    "SIZE", setting=True,
)  # fmt: skip
EXECUTION = tuple(
    _CAP if option.field == "max_output" else option
    for option in OPTIONS
    if option.field in _EXECUTION
)


class BatchRequest(Frozen):
    """What was asked on the command line, as it was written."""

    files: tuple[str, ...] = ()
    execution: ExecRequest = ExecRequest()
    jsonl: str | None = None
    code_field: str | None = None
    id_field: str | None = None
    stdin_field: str | None = None
    expect_field: str | None = None
    format: str | None = None
    samples: str | None = None
    skip_bad: bool = False
    completed: bool | None = None
    concurrency: str | None = None
    reuse: bool = False
    repeat: str | None = None
    shard: str | None = None
    out: str | None = None
    resume: str | None = None
    failed: bool = False
    max_fail: str | None = None
    pass_rate: str | None = None
    budget: str | None = None
    reports: tuple[str, ...] = ()
    as_json: bool = False
    quiet: bool = False


OWN = (
    Option(("--jsonl",), "jsonl", "text", "A program a line (also gzipped); - for stdin.", "FILE"),
    Option(("--code-field",), "code_field", "text", "Default: code.", "FIELD"),
    Option(("--id-field",), "id_field", "text", "Default: id, task_id, or the line.", "FIELD"),
    Option(("--stdin-field",), "stdin_field", "text", "A text, or one for each test.", "FIELD"),
    Option(("--expect-field",), "expect_field", "text", "What is to be printed.", "FIELD"),
    Option(("--format",), "format", "text", "humaneval, mbpp or evalplus.", "NAME"),
    Option(("--samples",), "samples", "text", "Answers to its problems; gives pass@k.", "FILE"),
    Option(("--skip-bad",), "skip_bad", "switch", "Leave out lines that are no case; count them."),
    Option(
        ("--completed", "--no-completed"), "completed", "choice",
        "Passed only at its last line (default with --format).",
    ),
    Option(("--concurrency",), "concurrency", "text", "At once: a number, or auto.", "N"),
    Option(
        ("--reuse",), "reuse", "switch",
        "Several cases in one sandbox: they see what others leave there.",
    ),
    Option(("--repeat",), "repeat", "text", "Run each N times; all have to pass.", "N"),
    Option(("--shard",), "shard", "text", "Only part I of N: 2/8.", "I/N"),
    Option(("-o", "--out"), "out", "text", "Results as JSON lines, as they come.", "FILE"),
    Option(("--resume",), "resume", "text", "Go on with this run (or @last).", "RUN"),
    Option(("--failed",), "failed", "switch", "Leave out what passed and has not changed."),
    Option(("--max-fail",), "max_fail", "text", "Begin no case after N failures.", "N"),
    Option(("--pass-rate",), "pass_rate", "text", "The share that must pass. Default 1.", "P"),
    Option(("--budget",), "budget", "text", "Of sandboxes: 5m, or $2 (an estimate).", "LIMIT"),
    Option(
        ("--report",), "reports", "words",
        ".json .xml .sarif .md .html, or KIND:FILE. Repeatable.", "FILE",
    ),
    Option(("--json",), "as_json", "switch", "One JSON document on stdout."),
    Option(("-q", "--quiet"), "quiet", "switch", "Only the result lines."),
)  # fmt: skip
BATCH_OPTIONS = (*OWN, *EXECUTION)


def batch_request(values: Mapping[str, object], files: list[str]) -> BatchRequest:
    """The request of values by field; repeatable ones are lists or tuples."""
    own: dict[str, object] = {}
    for option in OWN:
        value = values.get(option.field)
        if value is not None:
            own[option.field] = tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType]
    execution = request_from(values, (), EXECUTION)
    return BatchRequest(tuple(files), execution, **own)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # by OWN


def read_batch_quickly(words: list[str]) -> BatchRequest | None:
    """What plain words ask for; None: Typer has to look."""
    read = read_anywhere(words, BATCH_OPTIONS)
    return None if read is None else batch_request(*read)
