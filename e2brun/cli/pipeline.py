"""`e2brun pipeline`: the commands as Typer knows them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from e2brun.cli.options import Option
from e2brun.cli.pipeline_options import RUN_OPTIONS, run_request

pipelines = typer.Typer(
    name="pipeline",
    help="Pipelines in TOML: generate, validate, execute, check.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_TYPES: dict[str, tuple[Any, object]] = {
    "switch": (bool, False),
    "text": (str | None, None),
    "words": (list[str] | None, None),
}
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


def _run_command() -> Callable[..., None]:
    """For Typer, which reads a signature that stands nowhere in the source."""

    def command(**values: object) -> None:
        from e2brun.cli.pipeline_run import run_pipeline

        file = str(values.pop("file"))
        raise typer.Exit(run_pipeline(run_request(values, file)))

    argument = typer.Argument(metavar="FILE", help="A pipeline's TOML.")
    parameters = [
        _parameter("file", Annotated[str, argument], inspect.Parameter.empty),
        *(_option(option) for option in RUN_OPTIONS),
    ]
    command.__doc__ = _RUN_HELP
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    return command


def _option(option: Option) -> inspect.Parameter:
    kind, default = _TYPES[option.kind]
    declared = typer.Option(*option.names, metavar=option.metavar or None, help=option.help)
    return _parameter(option.field, Annotated[kind, declared], default)


def _parameter(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


pipelines.command("run")(_run_command())


@pipelines.command()
def validate(
    file: File, settings: Settings = None, variables: Variables = None, as_json: Json = False
) -> None:
    """Check FILE; nothing runs."""
    from e2brun.cli.pipeline_files import validate_file

    raise typer.Exit(validate_file(file, settings or [], variables or [], as_json=as_json))


@pipelines.command()
def show(file: File, settings: Settings = None, variables: Variables = None) -> None:
    """Draw what would run; nothing runs."""
    from e2brun.cli.pipeline_files import show_file

    raise typer.Exit(show_file(file, settings or [], variables or []))


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
