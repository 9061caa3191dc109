"""`e2brun sandbox`: the commands as Typer knows them."""

from __future__ import annotations

from typing import Annotated

import typer

from e2brun.cli.options import NETWORK, Request, setting, switch, text, words
from e2brun.cli.typer_command import NOTHING, Networked, command_of

sandboxes = typer.Typer(
    name="sandbox",
    help="Sandboxes that live on, in E2B's cloud or on this machine: create, look, use, end.",
    epilog="IDs are printed by `create` and `list`. Exit codes: 0; 1 no such sandbox; 2 usage; "
    "125 the provider failed. `exec` and `shell` end as the command did, or with 125.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the sandbox.")]
On = Annotated[str | None, typer.Option(metavar="WHERE", help="e2b, local or auto.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Words = list[str] | None
Metadata = Annotated[Words, typer.Option(metavar="K=V", help="Only with it. Repeatable.")]


class NewSandbox(Request):
    """What `create` was asked for."""

    timeout: str | None = setting("--timeout", "How long it lives. Default 5m.", "TIME")
    template: str | None = setting("--template", "Template, own ones too.", "NAME")
    metadata: tuple[str, ...] = words("--metadata", "Repeatable.", "K=V")
    env: tuple[str, ...] = words("--env", "Variable. Repeatable.", "K=V")
    network: str | None = NETWORK
    on: str | None = setting("--on", "e2b, local or auto.", "WHERE")
    as_json: bool = switch("--json", "One JSON document on stdout.")


def _create(values: dict[str, object]) -> int:
    from e2brun.cli.sandbox_commands import create

    return create(NewSandbox.of(values))


sandboxes.command("create", cls=Networked)(
    command_of(NewSandbox, {}, _create, "Start a sandbox and print its id.")
)


@sandboxes.command("list")
def list_command(
    state: Annotated[
        Words, typer.Option(metavar="STATE", help="running or paused. Repeatable.")
    ] = None,
    metadata: Metadata = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the ids.")] = False,
    on: On = None,
    as_json: Json = False,
) -> None:
    """List the sandboxes there are, newest first."""
    from e2brun.cli.sandbox_commands import list_all

    how = "json" if as_json else "ids" if quiet else "table"
    raise typer.Exit(list_all(on, state or (), metadata or (), how))


@sandboxes.command()
def info(sandbox: Id, on: On = None, as_json: Json = False) -> None:
    """Say what is known of a sandbox."""
    from e2brun.cli.sandbox_commands import info as run

    raise typer.Exit(run(on, sandbox, as_json=as_json))


class ExecOrder(Request):
    """What is to run in a sandbox, and how."""

    sandbox: str = ""
    command: tuple[str, ...] = ()
    stdin: bool = switch("-i/--stdin", "Pass stdin on, a terminal's too.")
    timeout: str | None = text("--timeout", "Then it is ended, with 124.", "TIME")
    cwd: str | None = text("--cwd", "Default: home.", "DIR")
    env: tuple[str, ...] = words("--env", "Variable. Repeatable.", "K=V")
    max_output: str | None = setting("--max-output", "Default 10M.", "SIZE")
    on: str | None = setting("--on", "e2b, local or auto.", "WHERE")
    as_json: bool = switch("--json", "One JSON document on stdout.")
    raw: bool = switch("--raw", "The command's bytes in a CI job's log, too.")


_EXEC_HELP = """Run a command in a sandbox and exit with its exit code.

What stands after `--` is the command's; what is piped in is its stdin.
"""


def _exec(values: dict[str, object]) -> int:
    from e2brun.cli.sandbox_exec import execute

    return execute(ExecOrder.of(values))


_COMMAND = typer.Argument(metavar="-- CMD...", help="What to run.")
sandboxes.command("exec")(
    command_of(
        ExecOrder,
        {"sandbox": (Id, NOTHING), "command": (Annotated[list[str], _COMMAND], NOTHING)},
        _exec,
        _EXEC_HELP,
    )
)


@sandboxes.command()
def shell(sandbox: Id, on: On = None) -> None:
    """Open a shell in a sandbox, on this terminal."""
    from e2brun.cli.sandbox_shell import shell as run

    raise typer.Exit(run(on, sandbox))


@sandboxes.command()
def ls(
    sandbox: Id,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="Default: home.")] = "",
    on: On = None,
    as_json: Json = False,
) -> None:
    """List a directory in a sandbox."""
    from e2brun.cli.sandbox_files import ls as run

    raise typer.Exit(run(on, sandbox, path, as_json=as_json))


@sandboxes.command()
def cp(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A path here, or ID:PATH.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="The other one.")],
    max_get: Annotated[str, typer.Option(metavar="SIZE", help="Of all that comes out.")] = "16G",
    on: On = None,
) -> None:
    """Copy a file or a directory into a sandbox or out of it."""
    from e2brun.cli.sandbox_files import cp as run

    raise typer.Exit(run(on, source, target, max_get))


@sandboxes.command()
def logs(
    sandbox: Id,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Until it ends.")] = False,
    on: On = None,
) -> None:
    """Show a sandbox's log."""
    from e2brun.cli.sandbox_commands import logs as run

    raise typer.Exit(run(on, sandbox, follow=follow))


@sandboxes.command()
def metrics(sandbox: Id, on: On = None, as_json: Json = False) -> None:
    """Show what a sandbox has used."""
    from e2brun.cli.sandbox_commands import metrics as run

    raise typer.Exit(run(on, sandbox, as_json=as_json))


@sandboxes.command()
def pause(sandbox: Id, on: On = None) -> None:
    """Stop a sandbox, keeping its memory and files."""
    from e2brun.cli.sandbox_commands import pause as run

    raise typer.Exit(run(on, sandbox))


@sandboxes.command()
def resume(
    sandbox: Id,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it lives on. Default 5m.")
    ] = None,
    on: On = None,
) -> None:
    """Let a paused sandbox go on."""
    from e2brun.cli.sandbox_commands import resume as run

    raise typer.Exit(run(on, sandbox, timeout))


@sandboxes.command()
def kill(
    sandbox: Annotated[Words, typer.Argument(metavar="[ID]...")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every sandbox there is.")] = False,
    metadata: Annotated[
        Words, typer.Option(metavar="K=V", help="Those with it. Repeatable.")
    ] = None,
    on: On = None,
) -> None:
    """End sandboxes and print the ids of those that were ended."""
    from e2brun.cli.sandbox_commands import kill as run

    raise typer.Exit(run(on, sandbox or (), metadata or (), every=every))


@sandboxes.command()
def reap(on: On = None) -> None:
    """End what dead e2brun runs of this machine left behind, and nothing else."""
    from e2brun.cli.sandbox_commands import reap as run

    raise typer.Exit(run(on))
