"""`e2brun serve` as Typer knows it."""

from __future__ import annotations

from typing import Annotated

import typer

from e2brun.cli.options import NETWORK, Request, number, setting, switch, text, words
from e2brun.cli.typer_command import command_of

SETTINGS = {"allow_interspersed_args": False}
_HELP = """Offer sandboxes on this machine to every program that uses E2B.

Prints the variables E2B's SDKs need, then serves until SIGINT or SIGTERM (exit code 0),
or runs COMMAND with them set and ends with its exit code.

\b
e2brun serve -- pytest tests            e2brun serve --env-file e2b.env &
"""


class ServeRequest(Request):
    """What was asked on the command line."""

    command: tuple[str, ...] = ()
    port: int = number("--port", "0: any that is free.", default=0, least=0, most=65535)
    host: str = text("--host", "Where to listen.", "ADDRESS", default="127.0.0.1")
    key: str | None = text("--key", "Better: E2BRUN_SERVE_KEY; `ps` shows arguments.", "KEY")
    names: tuple[str, ...] = words("--name", "Host name it also goes by. Repeatable.", "NAME")
    max_sandboxes: int = number("--max-sandboxes", "At once.", default=1200, least=1)
    memory: str | None = setting("--memory", "Of a sandbox. Default 512M.", "SIZE")
    processes: str | None = setting("--processes", "Of a sandbox, and threads. Default 64.", "N")
    disk: str | None = setting("--disk", "Of a sandbox. Default 2G.", "SIZE")
    total_memory: str | None = setting(
        "--total-memory", "Of all together, files too. Default: 75% of the free.", "SIZE"
    )
    total_disk: str | None = setting(
        "--total-disk", "Files of all together. Default: 75% of the free.", "SIZE"
    )
    volume_size: str | None = text("--volume-size", "Of a volume. Default 1G.", "SIZE")
    max_output: str | None = text(
        "--max-output", "Of a program's stream. Default: no limit.", "SIZE"
    )
    output_rate: str | None = text(
        "--output-rate", "A second, of a sandbox. Default: no limit.", "SIZE"
    )
    network: str | None = NETWORK
    templates: tuple[str, ...] = words(
        "--template", "Have it ready from the start. Repeatable.", "NAME"
    )
    install: tuple[str, ...] = words("--install", "Add to the default template. Repeatable.", "REQ")
    requirements: tuple[str, ...] = words(
        "--requirements", "Add what it lists. Repeatable.", "FILE"
    )
    env_file: str | None = text("--env-file", "Write the variables there, mode 0600.", "FILE")
    state: str | None = text(
        "--state", "Keep templates, volumes, paused sandboxes there. Or: E2BRUN_SERVE_STATE.", "DIR"
    )
    https: bool = switch("--https", "TLS for https://{sandbox.get_host(port)}, too.")
    print_ca: bool = switch("--print-ca", "Print the certificate to trust for --https.")
    as_json: bool = switch("--json", "Say where it is as JSON.")
    quiet: bool = switch("-q/--quiet", "No line for each request.")


_COMMAND = typer.Argument(metavar="[-- COMMAND...]", help="Run it, and end with it.")
SERVE = command_of(
    ServeRequest,
    {"command": (Annotated[list[str] | None, _COMMAND], None)},
    "e2brun.cli.serve:serve",
    _HELP,
)
