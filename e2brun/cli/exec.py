"""`e2brun exec`: its options."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from e2brun.cli.execution import Request, execute

# Typer reads these as they stand, at run time: Optional, not `| None`, and no dataclass.
_Text = Optional[str]  # noqa: UP045
_Words = Optional[list[str]]  # noqa: UP045
_Switch = Optional[bool]  # noqa: UP045


def exec_command(  # noqa: PLR0913, PLR0917  # one parameter an option is how Typer is told of them
    target: Annotated[
        _Text, typer.Argument(metavar="[FILE]", help=".py .sh .js .ipynb, or - for stdin")
    ] = None,
    arguments: Annotated[
        _Words, typer.Argument(metavar="[ARGS]...", help="The program's own arguments.")
    ] = None,
    code: Annotated[_Text, typer.Option("-c", "--code", help="Run CODE as a cell.")] = None,
    cell: Annotated[bool, typer.Option("--cell", help="Run FILE as a notebook cell.")] = False,
    stdin: Annotated[bool, typer.Option("-i", "--stdin", help="Pass stdin on.")] = False,
    on: Annotated[_Text, typer.Option(metavar="WHERE", help="e2b, local or auto.")] = None,
    timeout: Annotated[
        _Text, typer.Option(metavar="TIME", help="30s, 5m, 1h. Default 30s.")
    ] = None,
    template: Annotated[_Text, typer.Option(metavar="NAME", help="E2B template.")] = None,
    install: Annotated[
        _Words, typer.Option(metavar="REQ", help="Package to install. Repeatable.")
    ] = None,
    requirements: Annotated[
        _Words, typer.Option(metavar="PATH", help="requirements.txt. Repeatable.")
    ] = None,
    auto_install: Annotated[
        bool, typer.Option("--auto-install", help="Install what FILE imports.")
    ] = False,
    files: Annotated[
        _Words,
        typer.Option("--file", metavar="LOCAL[:REMOTE]", help="File or directory in. Repeatable."),
    ] = None,
    get: Annotated[
        _Words, typer.Option(metavar="REMOTE[:LOCAL]", help="Fetch after the run. Repeatable.")
    ] = None,
    env: Annotated[_Words, typer.Option(metavar="K=V", help="Variable. Repeatable.")] = None,
    env_file: Annotated[
        _Words, typer.Option(metavar="PATH", help="File of variables. Repeatable.")
    ] = None,
    cwd: Annotated[_Text, typer.Option(metavar="DIR", help="Directory in the sandbox.")] = None,
    python: Annotated[
        _Text, typer.Option(metavar="PYTHON", help="Interpreter (local): 3.12 or a path.")
    ] = None,
    memory: Annotated[_Text, typer.Option(metavar="SIZE", help="Default 512M (local).")] = None,
    disk: Annotated[_Text, typer.Option(metavar="SIZE", help="Default 512M (local).")] = None,
    processes: Annotated[_Text, typer.Option(metavar="N", help="Default 64 (local).")] = None,
    max_output: Annotated[
        _Text, typer.Option(metavar="SIZE", help="Of each stream; 0: no limit. Default 10M.")
    ] = None,
    network: Annotated[
        _Switch, typer.Option("--network/--no-network", help="Internet. Default: local none.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running (E2B).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Only the program's output.")
    ] = False,
    on_result: Annotated[
        _Text, typer.Option(metavar="DIR", help="Save pictures and other results of cells.")
    ] = None,
    output: Annotated[
        _Text, typer.Option(metavar="PATH", help="Write the executed notebook.")
    ] = None,
    api_key: Annotated[
        _Text, typer.Option(metavar="KEY", help="Better: E2B_API_KEY; `ps` shows arguments.")
    ] = None,
) -> None:
    """Run FILE in a fresh sandbox and exit with its exit code.

    Options stand before FILE; what follows it belongs to the program.

    \b
    e2brun exec hello.py one two          e2brun exec --timeout 5m --json job.py
    e2brun exec -c '1 + 1'                cat job.py | e2brun exec -
    e2brun exec --install pandas --file data.csv --get out.png plot.py
    """
    request = Request(
        target=target,
        arguments=tuple(arguments or ()),
        code=code,
        cell=cell,
        stdin=stdin,
        install=tuple(install or ()),
        requirements=tuple(requirements or ()),
        auto_install=auto_install,
        files=tuple(files or ()),
        get=tuple(get or ()),
        env=tuple(env or ()),
        env_files=tuple(env_file or ()),
        cwd=cwd,
        keep=keep,
        as_json=as_json,
        quiet=quiet,
        on_result=on_result,
        output=output,
        flags={
            "on": on,
            "timeout": timeout,
            "template": template,
            "memory": memory,
            "disk": disk,
            "processes": processes,
            "max_output": max_output,
            "network": None if network is None else str(network).lower(),
            "python": python,
            "api_key": api_key,
        },
    )
    raise typer.Exit(execute(request))
