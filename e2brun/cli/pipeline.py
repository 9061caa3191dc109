"""`e2brun pipeline`: its commands, of which `run` has files of its own; the others run nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from e2brun.cli.pipeline_options import RunRequest
from e2brun.cli.signals import notice, print_document, write_line, write_new
from e2brun.cli.typer_command import NOTHING, Json, command_of
from e2brun.errors import E2brunError, UsageError
from e2brun.values import is_table, suggestion, toml_tables

if TYPE_CHECKING:
    from e2brun.pipeline.loader import Pipeline

pipelines = typer.Typer(
    name="pipeline",
    help="Pipelines in TOML: generate, validate, execute, check.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_RUN_HELP = """Run the cases of FILE. Exit code: 0 all passed, 1 some failed, 2 FILE or the
command line is wrong, 125 infrastructure.

\b
e2brun pipeline run checks.toml --report junit.xml --report findings.sarif
e2brun pipeline run checks.toml --set execute.timeout=60 --var name=Ada --failed
"""
File = Annotated[Path, typer.Argument(metavar="FILE", help="A pipeline's TOML.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE")]
Variables = Annotated[list[str] | None, typer.Option("--var", metavar="NAME=VALUE")]

_SHOWN_CASES = 30


_FILE = (Annotated[str, typer.Argument(metavar="FILE", help="A pipeline's TOML.")], NOTHING)
pipelines.command("run")(
    command_of(RunRequest, {"file": _FILE}, "e2brun.cli.pipeline_run:run_pipeline", _RUN_HELP)
)


@pipelines.command()
def validate(
    file: File, settings: Settings = None, variables: Variables = None, as_json: Json = False
) -> int:
    """Check FILE; nothing runs."""
    pipeline = _loaded(file, settings, variables, as_json=as_json)
    cases = len(pipeline.cases)
    if as_json:
        name = pipeline.document.pipeline.name
        print_document({"schema": 1, "success": True, "exit_code": 0, "pipeline": name,
                        "file": str(file), "cases": cases, "error": None})  # fmt: skip
    else:
        write_line(f"{file}: ok, {cases} case{'s' * (cases != 1)}")
    return 0


@pipelines.command()
def show(
    file: File,
    settings: Settings = None,
    variables: Variables = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="As TOML, with --set and --var in it.")
    ] = False,
) -> int:
    """Draw what would run; nothing runs."""
    pipeline = _loaded(file, settings, variables)
    if toml:
        import tomli_w

        write_line(tomli_w.dumps(pipeline.tables, multiline_strings=True).rstrip())
    else:
        _draw(pipeline)
    return 0


def _loaded(
    file: Path, settings: list[str] | None, variables: list[str] | None, *, as_json: bool = False
) -> Pipeline:
    """Leaves, and says what is wrong, where it is none."""
    from e2brun.pipeline.loader import load

    try:
        return load(file, settings or (), variables or ())
    except E2brunError as error:
        from e2brun.cli.pipeline_run import refuse

        raise typer.Exit(refuse(error, as_json=as_json)) from error


def _draw(pipeline: Pipeline) -> None:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from e2brun.pipeline.compiler import outline
    from e2brun.report.safe import one_line
    from e2brun.settings import load_settings

    plain = not load_settings().colors(1)
    console = Console(file=sys.stdout, no_color=plain, highlight=False, markup=False)
    table = pipeline.document.pipeline
    title = one_line(table.name) + (f": {one_line(table.description)}" if table.description else "")
    tree = Tree(Text(title, style="bold"))
    for stage, lines in outline(pipeline.document).items():
        branch = tree.add(Text(stage, style="cyan"))
        for line in lines:
            branch.add(Text(one_line(line)))
    cases = tree.add(Text(f"cases: {len(pipeline.cases)}", style="cyan"))
    for case in pipeline.cases[:_SHOWN_CASES]:
        cases.add(Text(one_line(case.id)))
    if len(pipeline.cases) > _SHOWN_CASES:
        cases.add(Text(f"and {len(pipeline.cases) - _SHOWN_CASES} more", style="dim"))
    console.print(tree, soft_wrap=True)


@pipelines.command()
def init(
    template: Annotated[
        str, typer.Argument(metavar="[TEMPLATE]", help="Default: hello.")
    ] = "hello",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: TEMPLATE.toml.")
    ] = None,
) -> int:
    """Write a commented pipeline to start from."""
    directory = Path(__file__).parents[1] / "pipeline" / "templates"
    known = {path.stem: path for path in sorted(directory.glob("*.toml"))}
    if template not in known:
        raise UsageError(f"there is no template {template!r}{suggestion(template, known)}")
    target = output or Path(f"{template}.toml")
    write_new(str(target), known[template].read_text(encoding="utf-8").splitlines())
    notice(f"wrote {target}; run it with: e2brun pipeline run {target}")
    return 0


@pipelines.command()
def schema() -> int:
    """Print the JSON Schema of a pipeline, for editors."""
    import json

    from e2brun.pipeline.json_schema import json_schema

    write_line(json.dumps(json_schema(), indent=2))
    return 0


@pipelines.command("list")
def list_pipelines(
    directory: Annotated[Path, typer.Argument(metavar="[DIRECTORY]")] = Path(),
) -> int:
    """List the pipelines in DIRECTORY and how they last went."""
    from e2brun.report.safe import one_line
    from e2brun.runs.store import looked_up
    from e2brun.settings import load_settings

    if not os.path.isdir(directory):
        raise UsageError(f"{directory}: no such directory")
    settings = load_settings()
    runs = looked_up(settings.store, lambda store: store.runs("pipeline")) or []
    last = {run.record.file: run.counts for run in reversed(runs)}
    count = 0
    for file in (*sorted(directory.glob("*.toml")), *sorted(directory.glob("pipelines/*.toml"))):
        described = _described(file)
        if described is None:
            continue
        count += 1
        counts = last.get(str(file.absolute()))
        how = ", ".join(f"{n} {word}" for word, n in (counts or {}).items()) or "never run"
        write_line(f"{file}  {one_line(described)}  ({how})")
    if not count:
        notice(f"no pipelines in {directory}; write one with: e2brun pipeline init")
    return 0


def _described(file: Path) -> str | None:
    """Its name and description; None for a TOML that is no pipeline."""
    try:
        table = toml_tables(file.read_text(encoding="utf-8")).get("pipeline")
    except (OSError, ValueError):
        return None
    if not is_table(table) or "name" not in table:
        return None
    words = [str(table["name"])]
    if table.get("description"):
        words.append(str(table["description"]))
    return ": ".join(words)
