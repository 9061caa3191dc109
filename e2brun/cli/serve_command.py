"""`e2brun serve` as Typer knows it."""

from __future__ import annotations

from typing import Annotated

import typer

from e2brun.cli.options import NETWORK

SETTINGS = {"allow_interspersed_args": False}
_Words = list[str] | None


def serve(
    command: Annotated[
        _Words, typer.Argument(metavar="[-- COMMAND...]", help="Run it, and end with it.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Better: E2BRUN_SERVE_KEY; `ps` shows arguments."),
    ] = None,
    name: Annotated[
        _Words, typer.Option(metavar="NAME", help="Host name it also goes by. Repeatable.")
    ] = None,
    max_sandboxes: Annotated[int, typer.Option(min=1, metavar="N", help="At once.")] = 1200,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of a sandbox. Default 512M.")
    ] = None,
    disk: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of a sandbox. Default 2G.")
    ] = None,
    total_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of all together, files too. Default: 75% of the free."),
    ] = None,
    total_disk: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Files of all together. Default: 75% of the free."),
    ] = None,
    volume_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of a volume. Default 1G.")
    ] = None,
    max_output: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of a program's stream. Default: no limit.")
    ] = None,
    output_rate: Annotated[
        str | None, typer.Option(metavar="SIZE", help="A second, of a sandbox. Default: no limit.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(*NETWORK.names, metavar=NETWORK.metavar, help=NETWORK.help)
    ] = None,
    template: Annotated[
        _Words, typer.Option(metavar="NAME", help="Have it ready from the start. Repeatable.")
    ] = None,
    install: Annotated[
        _Words, typer.Option(metavar="REQ", help="Add to the default template. Repeatable.")
    ] = None,
    requirements: Annotated[
        _Words, typer.Option(metavar="FILE", help="Add what it lists. Repeatable.")
    ] = None,
    env_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the variables there, mode 0600.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Keep templates, volumes, paused sandboxes there. Or: E2BRUN_SERVE_STATE.",
        ),
    ] = None,
    https: Annotated[
        bool, typer.Option("--https", help="TLS for https://{sandbox.get_host(port)}, too.")
    ] = False,
    print_ca: Annotated[
        bool, typer.Option("--print-ca", help="Print the certificate to trust for --https.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it is as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No line for each request.")] = False,
) -> None:
    """Offer sandboxes on this machine to every program that uses E2B.

    Prints the variables E2B's SDKs need, then serves until SIGINT or SIGTERM (exit code 0),
    or runs COMMAND with them set and ends with its exit code.

    \b
    e2brun serve -- pytest tests            e2brun serve --env-file e2b.env &
    """
    from e2brun.cli.serve import print_ca as certificate
    from e2brun.cli.serve import serve as run
    from e2brun.cli.serve_request import ServeRequest

    if print_ca:
        raise typer.Exit(certificate())
    request = ServeRequest(
        tuple(command or ()), host, port, key, tuple(name or ()), max_sandboxes, memory, disk,
        total_memory, total_disk, volume_size, max_output, output_rate, network,
        tuple(template or ()), tuple(install or ()), tuple(requirements or ()), env_file, state,
        https, as_json, quiet,
    )  # fmt: skip
    raise typer.Exit(run(request))
