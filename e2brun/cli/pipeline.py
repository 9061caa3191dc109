"""`e2brun pipeline`: the commands as Typer knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from e2brun.cli.pipeline_options import RunRequest
from e2brun.cli.typer_command import NOTHING, command_of

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
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def _run(values: dict[str, object]) -> int:
    from e2brun.cli.pipeline_run import run_pipeline

    return run_pipeline(RunRequest.of(values))


_FILE = (Annotated[str, typer.Argument(metavar="FILE", help="A pipeline's TOML.")], NOTHING)
pipelines.command("run")(command_of(RunRequest, {"file": _FILE}, _run, _RUN_HELP))


@pipelines.command()
def validate(
    file: File, settings: Settings = None, variables: Variables = None, as_json: Json = False
) -> None:
    """Check FILE; nothing runs."""
    from e2brun.cli.pipeline_files import validate_file

    raise typer.Exit(validate_file(file, settings or [], variables or [], as_json=as_json))


@pipelines.command()
def show(
    file: File,
    settings: Settings = None,
    variables: Variables = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="As TOML, with --set and --var in it.")
    ] = False,
) -> None:
    """Draw what would run; nothing runs."""
    from e2brun.cli.pipeline_files import show_file

    raise typer.Exit(show_file(file, settings or [], variables or [], toml=toml))


@pipelines.command()
def init(
    template: Annotated[
        str, typer.Argument(metavar="[TEMPLATE]", help="Default: hello.")
    ] = "hello",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: TEMPLATE.toml.")
    ] = None,
) -> None:
    """Write a commented pipeline to start from."""
    from e2brun.cli.pipeline_files import write_template

    raise typer.Exit(write_template(template, output))


@pipelines.command()
def schema() -> None:
    """Print the JSON Schema of a pipeline, for editors."""
    from e2brun.cli.pipeline_files import print_schema

    raise typer.Exit(print_schema())


@pipelines.command("list")
def list_command(
    directory: Annotated[Path, typer.Argument(metavar="[DIRECTORY]")] = Path(),
) -> None:
    """List the pipelines in DIRECTORY and how they last went."""
    from e2brun.cli.pipeline_files import list_pipelines

    raise typer.Exit(list_pipelines(directory))
