"""`e2brun runs`: the commands as Typer knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

runs = typer.Typer(
    name="runs",
    help="What was run here, by exec, pipeline, batch and bench: list, look, compare, take away.",
    epilog="RUN is an id, the beginning of one, @last, or @last~1 for the one before it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Id = Annotated[str, typer.Argument(metavar="RUN", help="An id, its beginning, or @last.")]
Where = Annotated[str | None, typer.Option("--store", metavar="FILE", help="Not the usual one.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@runs.command("list")
def list_command(
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="exec, pipeline, batch or bench.")
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=0, help="0: all.")] = 20,
    store: Where = None,
    as_json: Json = False,
) -> None:
    """List the runs there were, newest first."""
    from e2brun.cli.runs_commands import list_runs

    raise typer.Exit(list_runs(store, kind, limit, as_json=as_json))


@runs.command()
def show(
    run: Id,
    case: Annotated[str | None, typer.Argument(metavar="[CASE]", help="All of one case.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page for a browser.")
    ] = None,
    store: Where = None,
    as_json: Json = False,
) -> None:
    """Say what is known of a run."""
    from e2brun.cli.runs_commands import show_run

    raise typer.Exit(show_run(store, run, case, html=html, as_json=as_json))


@runs.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="RUN")],
    after: Annotated[str, typer.Argument(metavar="RUN")],
    store: Where = None,
    as_json: Json = False,
) -> None:
    """Say which cases of two runs did not go the same way. Exit code 1 if some did not."""
    from e2brun.cli.runs_commands import diff_runs

    raise typer.Exit(diff_runs(store, before, after, as_json=as_json))


@runs.command()
def rm(
    run: Annotated[list[str], typer.Argument(metavar="RUN...")],
    store: Where = None,
) -> None:
    """Take runs away, and print their ids."""
    from e2brun.cli.runs_commands import remove_runs

    raise typer.Exit(remove_runs(store, run))


@runs.command()
def gc(
    keep: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Of each pipeline or batch, and of exec."),
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="30d, 12h: those go, too.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of long outputs. Default 2G.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
    store: Where = None,
) -> None:
    """Take away old runs, and print their ids. By itself e2brun keeps 20 runs of each pipeline or
    batch, 1000 of exec, and 2 GiB."""
    from e2brun.cli.runs_commands import collect_garbage

    raise typer.Exit(collect_garbage(store, keep, older_than, max_size, dry=dry_run))


@runs.command()
def export(
    run: Id,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: stdout.")
    ] = None,
    store: Where = None,
) -> None:
    """Write all of a run as JSON lines: the run, then each case with its whole output."""
    from e2brun.cli.runs_commands import export_run

    raise typer.Exit(export_run(store, run, output))
