"""From a checked document to the primitives that do what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2brun.errors import UsageError
from e2brun.pipeline.places import Path as KeyPath
from e2brun.pipeline.schema import (
    Document,
    ExecuteTable,
    GenerateTable,
    LintTable,
    RetryTable,
    SandboxTable,
    SecurityTable,
    SyntaxTable,
    TypesTable,
)
from e2brun.primitives.base import AnyPrimitive, Primitive
from e2brun.runs.record import Severity
from e2brun.sandbox.contract import Backend
from e2brun.settings import Settings
from e2brun.stages.execute.settings import ExecuteSettings
from e2brun.stages.execute.stage import ExecuteStage
from e2brun.stages.generate.at_hand import CodeGenerator, FilesGenerator
from e2brun.stages.step import Judge, Step, Together
from e2brun.stages.work import Work

if TYPE_CHECKING:
    from e2brun.stages.generate.cassette import Cassette

# What a document may say of an execution, and the user's settings say where it does not.
_OF_USER = (
    "timeout", "install_timeout", "template", "memory", "processes", "disk", "network", "fetch",
    "python", "max_output",
)  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """What a pipeline runs with that its file does not say."""

    directory: Path
    backend: Callable[[], Backend]
    settings: Settings = Settings()
    cassette: Cassette | None = None
    state: Path = Path()  # where caches are kept


def compiled(document: Document, around: Environment) -> Primitive[Work, Work]:
    """`generate >> validate >> execute >> check`. Raises UsageError."""
    validators = tuple(judge for _, make in validators_of(document) for judge in make())
    checks = tuple(judge for _, make in checks_of(document) for judge in make())
    chain: Primitive[Work, Work] = generator(document.generate, around)
    if validators:
        chain = chain >> Together(validators)
    if document.execute is not None:
        settings = execute_settings(document, around)
        chain = chain >> ExecuteStage(around.backend, settings, checks)
    return chain >> Together(checks) if checks else chain


def try_out(document: Document, directory: Path, note: Callable[[KeyPath, str], None]) -> None:
    """Make every stage once, and note what each of them finds wrong with its table."""

    def nowhere() -> Backend:
        raise AssertionError("nothing is run here")

    around = Environment(directory, nowhere)
    tries: list[tuple[KeyPath, Callable[[], Iterable[object]]]] = [
        (("generate",), lambda: [generator(document.generate, around)]),
        (("execute",), lambda: [execute_settings(document, around)]),
        *validators_of(document),
        *checks_of(document),
    ]
    for path, make in tries:
        try:
            list(make())
        except UsageError as error:
            note(path, str(error))


def generator(table: GenerateTable, around: Environment) -> Step:
    if table.files:
        return FilesGenerator()
    if table.code is not None:
        return CodeGenerator(table.code)
    prompt = table.prompt
    if table.prompt_file is not None:
        prompt = table.prompt_file.read_text(encoding="utf-8")
    if table.command is not None:
        from e2brun.stages.generate.command import CommandGenerator

        return CommandGenerator(
            prompt=prompt or "",
            timeout=table.timeout,
            cassette=around.cassette,
            command=table.command,
            directory=around.directory,
        )
    from e2brun.stages.generate.model import SYSTEM, ModelGenerator

    return ModelGenerator(
        prompt=prompt or "",
        timeout=table.timeout,
        cassette=around.cassette,
        model=table.model or "",
        base_url=table.base_url,
        temperature=table.temperature,
        max_tokens=table.max_tokens,
        system=SYSTEM if table.system is None else table.system,
    )


def execute_settings(document: Document, around: Environment) -> ExecuteSettings:
    """[execute] over [sandbox] over the settings of the user."""
    table = document.execute or ExecuteTable()
    base, cache = document.sandbox, None
    of_user = {name: _first(table, base, name, vars(around.settings)[name]) for name in _OF_USER}
    if table.cache is not None:
        from e2brun.primitives.cache_store import SQLiteCache

        cache = SQLiteCache(around.state / "executions.sqlite")
    return ExecuteSettings(
        **of_user,
        cell=table.cell,
        install=tuple(dict.fromkeys((*base.install, *table.install))),
        requirements=tuple(dict.fromkeys((*base.requirements, *table.requirements))),
        auto_install=_first(table, base, "auto_install", False),
        files=table.files,
        with_imports=table.with_imports,
        inline_files=table.inline_files,
        directory=around.directory,
        env={**base.env, **table.env},
        cwd=table.cwd,
        args=table.args,
        stdin=table.stdin,
        parameters=table.parameters,
        get=table.get,
        get_to=around.directory.absolute() / (table.get_to or "output") if table.get else None,
        max_get=table.max_get,
        repeat=table.repeat,
        retry=_retry(table.retry),
        cache=cache,
        cache_ttl=table.cache or 3600.0,
        file=document.generate.name,
    )


def _retry(table: RetryTable | None) -> Callable[..., AnyPrimitive] | None:
    if table is None:
        return None
    from e2brun.primitives.retry import RetryPrimitive

    return partial(RetryPrimitive, **vars(table))


def _first(table: SandboxTable, base: SandboxTable, name: str, default: Any) -> Any:
    of_both = (getattr(table, name), getattr(base, name))
    return next((value for value in of_both if value is not None), default)


Makers = Iterator[tuple[KeyPath, Callable[[], Iterator[Judge]]]]
AnyValidate = SyntaxTable | SecurityTable | LintTable | TypesTable


def validators_of(document: Document) -> Makers:
    """By the path of its table, what makes each validator."""
    for number, table in enumerate(document.validate):
        yield ("validate", number), partial(_validator, table, document)


def _validator(table: AnyValidate, document: Document) -> Iterator[Judge]:
    execute = document.execute
    inside = (execute.python if execute else None) or document.sandbox.python
    cell = execute is not None and execute.cell
    match table:
        case SyntaxTable():
            from e2brun.stages.validate.syntax import SyntaxCheck

            size = {} if table.max_size is None else {"max_size": table.max_size}
            yield SyntaxCheck(python=table.python or inside, cell=cell, **size)
        case SecurityTable():
            from e2brun.stages.validate.security import SecurityCheck

            yield SecurityCheck(
                Severity(table.severity), table.ignore, table.allow, table.deny, table.bandit
            )
        case LintTable():
            from e2brun.stages.validate.lint import LintCheck

            select = {} if not table.select else {"select": table.select}
            yield LintCheck(
                ignore=table.ignore,
                severity=Severity(table.severity),
                line_length=table.line_length,
                **select,
            )
        case TypesTable():
            from e2brun.stages.validate.typecheck import TypesCheck

            yield TypesCheck(table.strict, Severity(table.severity), table.python or inside)


def checks_of(document: Document) -> Makers:
    """By the path of its table, what makes the checks in it."""
    from e2brun.pipeline.checking import judges, tests_follow

    whole = tests_follow(document.generate)
    for number, table in enumerate(document.check):
        yield ("check", number), partial(judges, table, whole=whole)


def outline(document: Document) -> Mapping[str, list[str]]:
    """What would be done, by stage, for whoever shows it."""
    generate = document.generate
    ways = {
        "files": ", ".join(generate.files),
        "code": f"inline, {len(generate.code or '')} characters",
        "command": str(generate.command),
        "model": str(generate.model),
    }
    way = next(name for name in ways if getattr(generate, name))
    first = f"{way}: {ways[way]}"
    if generate.attempts > 1:
        first += f", up to {generate.attempts} attempts"
    shown = {"generate": [first]}
    shown["validate"] = [judge.name for _, make in validators_of(document) for judge in make()]
    if document.execute is not None:
        kind = "cell" if document.execute.cell else "program"
        limit = document.execute.timeout or document.sandbox.timeout
        shown["execute"] = [kind + (f", at most {limit:g} s" if limit else "")]
    shown["check"] = [judge.name for _, make in checks_of(document) for judge in make()]
    return {stage: lines for stage, lines in shown.items() if lines}
