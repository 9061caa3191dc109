"""`e2brun sandbox`: the commands as Typer knows them."""

from __future__ import annotations

from typing import Annotated

import typer

from e2brun.cli.options import NETWORK
from e2brun.cli.signals import answered
from e2brun.cli.typer_command import Networked

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


@sandboxes.command(cls=Networked)
def create(
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it lives. Default 5m.")
    ] = None,
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="Template, own ones too.")
    ] = None,
    metadata: Annotated[Words, typer.Option(metavar="K=V", help="Repeatable.")] = None,
    env: Annotated[Words, typer.Option(metavar="K=V", help="Variable. Repeatable.")] = None,
    network: Annotated[
        str | None, typer.Option(*NETWORK.names, metavar=NETWORK.metavar, help=NETWORK.help)
    ] = None,
    on: On = None,
    as_json: Json = False,
) -> None:
    """Start a sandbox and print its id."""
    from e2brun.cli.sandbox_commands import NewSandbox
    from e2brun.cli.sandbox_commands import create as run

    asked = NewSandbox(
        on, timeout, template, tuple(metadata or ()), tuple(env or ()), network, as_json
    )
    raise typer.Exit(answered(lambda: run(asked), as_json=as_json))


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
    code = answered(lambda: list_all(on, state or (), metadata or (), how), as_json=as_json)
    raise typer.Exit(code)


@sandboxes.command()
def info(sandbox: Id, on: On = None, as_json: Json = False) -> None:
    """Say what is known of a sandbox."""
    from e2brun.cli.sandbox_commands import info as run

    raise typer.Exit(answered(lambda: run(on, sandbox, as_json=as_json), as_json=as_json))


@sandboxes.command("exec")
def exec_command(
    sandbox: Id,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="What to run.")],
    stdin: Annotated[
        bool, typer.Option("-i", "--stdin", help="Pass stdin on, a terminal's too.")
    ] = False,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Then it is ended, with 124.")
    ] = None,
    cwd: Annotated[str | None, typer.Option(metavar="DIR", help="Default: home.")] = None,
    env: Annotated[Words, typer.Option(metavar="K=V", help="Variable. Repeatable.")] = None,
    max_output: Annotated[str | None, typer.Option(metavar="SIZE", help="Default 10M.")] = None,
    on: On = None,
    as_json: Json = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="The command's bytes in a CI job's log, too.")
    ] = False,
) -> None:
    """Run a command in a sandbox and exit with its exit code.

    What stands after `--` is the command's; what is piped in is its stdin.
    """
    from e2brun.cli.sandbox_exec import ExecOrder, execute

    order = ExecOrder(
        sandbox, tuple(command), on, timeout, cwd, tuple(env or ()), stdin, max_output, as_json, raw
    )
    raise typer.Exit(execute(order))


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

    raise typer.Exit(answered(lambda: run(on, sandbox, path, as_json=as_json), as_json=as_json))


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

    raise typer.Exit(answered(lambda: run(on, sandbox, as_json=as_json), as_json=as_json))


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
