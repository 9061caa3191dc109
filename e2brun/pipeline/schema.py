"""What a pipeline's TOML may hold: one class a table, one field a key, one type what it takes.

Text may hold `{{variables}}` of the case wherever a stage renders it. Nobody writes to a table once
it is read; `frozen`, `eq` and `repr` would cost each run five milliseconds of generated methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from e2brun.errors import UsageError
from e2brun.pipeline.kinds import (
    Count,
    Duration,
    ExistingFile,
    NetworkChoice,
    Package,
    Pattern,
    Size,
    SizeOrNone,
)
from e2brun.pipeline.reader import Tagged

Level = Literal["low", "medium", "high"]
Strings = str | tuple[str, ...]
Stream = Literal["stdout", "stderr"]


@dataclass(kw_only=True, eq=False, repr=False)
class PipelineTable:
    """Which pipeline this is."""

    name: str
    description: str = ""

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.name.isprintable():
            raise UsageError(f"{self.name!r} is no name")


@dataclass(kw_only=True, eq=False, repr=False)
class SandboxTable:
    """What every execution of the pipeline starts from."""

    timeout: Duration | None = None
    install: tuple[Package, ...] = ()
    requirements: tuple[ExistingFile, ...] = ()
    auto_install: bool | None = None
    install_timeout: Duration | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    template: str | None = None
    memory: Size | None = None
    processes: Count | None = None
    disk: Size | None = None
    network: NetworkChoice | None = None
    fetch: bool | None = None
    python: str | None = None
    max_output: SizeOrNone | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class GenerateTable:
    """Where candidates come from: one of files, code, command and model."""

    files: tuple[str, ...] = ()
    code: str | None = None
    command: str | tuple[str, ...] | None = None
    model: str | None = None
    name: str = "main.py"  # of code that has no file
    prompt: str | None = None
    prompt_file: ExistingFile | None = None
    system: str | None = None
    base_url: str | None = None
    temperature: float | None = None
    max_tokens: Count | None = None
    attempts: Count = 1
    timeout: Duration = 120.0

    def __post_init__(self) -> None:
        ways = {"files": self.files, "code": self.code, "command": self.command,
                "model": self.model}  # fmt: skip
        given = [name for name, value in ways.items() if value]
        if len(given) != 1:
            raise UsageError(f"one of {', '.join(ways)} is needed, not {len(given)}"
                             + (f" ({' and '.join(given)})" if given else ""))  # fmt: skip
        asks = given[0] in {"command", "model"}
        if self.prompt is not None and self.prompt_file is not None:
            raise UsageError("prompt and prompt_file are both given")
        if asks and self.prompt is None and self.prompt_file is None:
            raise UsageError(f"{given[0]} needs a prompt or a prompt_file")
        if not asks and self.attempts > 1:
            raise UsageError(f"attempts = {self.attempts} needs a generator that can try again: "
                             f"command or model, not {given[0]}")  # fmt: skip


@dataclass(kw_only=True, eq=False, repr=False)
class SyntaxTable:
    """`use = "syntax"`: for the sandbox's Python."""

    python: str | None = None
    max_size: Size | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class SecurityTable:
    """`use = "security"`: denied imports, calls and attribute tricks, and bandit."""

    severity: Level = "medium"
    ignore: tuple[str, ...] = ()
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    bandit: bool | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class LintTable:
    """`use = "lint"`: ruff."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Level = "low"
    line_length: Count | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class TypesTable:
    """`use = "types"`: mypy."""

    strict: bool = False
    severity: Level = "low"
    python: str | None = None


ValidateTable = Annotated[
    SyntaxTable | SecurityTable | LintTable | TypesTable,
    Tagged("use", {"syntax": SyntaxTable, "security": SecurityTable, "lint": LintTable,
                   "types": TypesTable}),
]  # fmt: skip


@dataclass(kw_only=True, eq=False, repr=False)
class RetryTable:
    """How often faults of the infrastructure are tried again; the user's bug never is."""

    max_retries: Count = 3
    initial_delay: Duration = 0.5
    deadline: Duration | None = 300.0


@dataclass(kw_only=True, eq=False, repr=False)
class ExecuteTable(SandboxTable):
    """How a candidate runs: everything `e2brun exec` can."""

    cell: bool = False
    files: tuple[str, ...] = ()  # LOCAL[:REMOTE]
    with_imports: bool = False  # and what lies beside the candidate
    inline_files: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None
    args: tuple[str, ...] = ()
    stdin: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])  # of notebooks
    get: tuple[str, ...] = ()
    get_to: str | None = None
    max_get: Size | None = None
    repeat: Count = 1
    retry: RetryTable | None = None
    cache: Duration | None = None

    def __post_init__(self) -> None:
        if self.cell and (self.args or self.stdin is not None):
            raise UsageError("a cell has no args and no stdin: leave out cell = true")
        if self.get_to is not None and not self.get:
            raise UsageError("get_to says where what is fetched goes, but get fetches nothing")


@dataclass(kw_only=True, eq=False, repr=False)
class TextTable:
    """What a stream must look like."""

    equals: str | None = None
    contains: Strings = ()
    not_contains: Strings = ()
    matches: Pattern | tuple[Pattern, ...] = ()
    lines: int | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _something(self)


@dataclass(kw_only=True, eq=False, repr=False)
class JsonTable:
    """What the JSON on a stream must look like: a JSON Schema, what is where by JSONPath."""

    schema: Mapping[str, object] | ExistingFile | None = None
    equals: Mapping[str, object] = field(default_factory=dict[str, object])
    stream: Stream = "stdout"

    def __post_init__(self) -> None:
        if self.schema is None and not self.equals:
            raise UsageError("needs schema or equals")


@dataclass(kw_only=True, eq=False, repr=False)
class NumbersTable:
    """Numbers on a stream, within a tolerance."""

    equals: float | str | tuple[float | str, ...]
    absolute: float = 1e-9
    relative: float = 1e-6
    stream: Stream = "stdout"
    last: bool = False


@dataclass(kw_only=True, eq=False, repr=False)
class ResultsTable:
    """What a cell must have shown."""

    mime: str = ""
    value: object = None
    contains: str = ""
    count: int | None = None

    def __post_init__(self) -> None:
        _something(self)


@dataclass(kw_only=True, eq=False, repr=False)
class FileTable:
    """What a file in the sandbox must look like after the run."""

    path: str
    exists: bool = True
    equals: str | Mapping[str, object] | None = None  # a table: values by JSONPath
    contains: Strings = ()
    not_contains: Strings = ()
    matches: Pattern | tuple[Pattern, ...] = ()
    schema: Mapping[str, object] | ExistingFile | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class TestsTable:
    """A pytest file run in the sandbox beside the candidate."""

    __test__ = False  # for pytest: this is none of its own

    file: ExistingFile
    timeout: Duration = 60.0
    args: tuple[str, ...] = ()
    install: tuple[Package, ...] = ("pytest",)


@dataclass(kw_only=True, eq=False, repr=False)
class CheckTable:
    """One check, or several, of how a candidate ran."""

    exit_code: int | str | tuple[int, ...] | None = None
    completed: bool | None = None
    stdout: str | TextTable | None = None
    stderr: str | TextTable | None = None
    json: JsonTable | None = None
    numbers: NumbersTable | None = None
    results: ResultsTable | None = None
    file: FileTable | None = None
    max_time: Duration | None = None
    max_memory: Size | None = None
    no_stderr: bool | None = None
    tests: TestsTable | ExistingFile | None = None

    def __post_init__(self) -> None:
        _something(self)
        if self.no_stderr is False:
            raise UsageError("no_stderr = false checks nothing")
        if self.completed is False and self.exit_code is None:
            raise UsageError("completed = false checks nothing without an exit_code")


@dataclass(kw_only=True, eq=False, repr=False)
class CasesTable:
    """Cases in a file: a CSV with a header, or one JSON object a line."""

    file: ExistingFile
    id: str = "id"  # the column that names a case
    limit: Count | None = None

    def __post_init__(self) -> None:
        if self.file.suffix.lower() not in {".csv", ".jsonl", ".ndjson"}:
            raise UsageError(f"{self.file.name} is neither .csv nor .jsonl")


@dataclass(kw_only=True, eq=False, repr=False)
class Document:
    """The whole file."""

    pipeline: PipelineTable
    generate: GenerateTable
    sandbox: SandboxTable = SandboxTable()
    vars: Mapping[str, object] = field(default_factory=dict[str, object])
    validate: tuple[ValidateTable, ...] = ()
    execute: ExecuteTable | None = None
    check: tuple[CheckTable, ...] = ()
    case: tuple[Mapping[str, object], ...] = ()
    cases: CasesTable | None = None
    matrix: Mapping[str, tuple[object, ...]] = field(default_factory=dict[str, tuple[object, ...]])

    def __post_init__(self) -> None:
        if self.check and self.execute is None:
            raise UsageError("[[check]] looks at how code ran: add [execute]")
        if self.case and self.cases is not None:
            raise UsageError("[[case]] and [cases] cannot stand together: one of them")


def _something(table: object) -> None:
    """Raise UsageError for a table whose every key was left out."""
    from dataclasses import fields

    if all(getattr(table, f.name) == f.default for f in fields(table)):  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # a dataclass
        names = ", ".join(f.name for f in fields(table))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        raise UsageError(f"checks nothing: needs one of {names}")
