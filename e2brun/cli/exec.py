"""`e2brun exec` as Typer knows it: its parameters are made from the table of options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from e2brun.cli.execution import execute
from e2brun.cli.options import OPTIONS, Option, request_from

_HELP = """Run FILE in a fresh sandbox and exit with its exit code.

\b
e2brun exec hello.py one two          e2brun exec --timeout 5m --json job.py
e2brun exec -c '1 + 1'                cat job.py | e2brun exec -
e2brun exec --install pandas --file data.csv --get out.png plot.py
"""
_TYPES: dict[str, tuple[Any, object]] = {
    "switch": (bool, False),
    "choice": (bool | None, None),
    "text": (str | None, None),
    "words": (list[str] | None, None),
}


def exec_command() -> Callable[..., None]:
    """The command for Typer, which reads a signature that stands nowhere in the source."""

    def command(**values: object) -> None:
        words = [values.pop("target"), *_list(values.pop("arguments"))]
        raise typer.Exit(
            execute(request_from(values, tuple(str(w) for w in words if w is not None)))
        )

    file = typer.Argument(metavar="[FILE]", help=".py .sh .js .ipynb, or - for stdin")
    rest = typer.Argument(metavar="[ARGS]...", help="The program's own, options and all.")
    parameters = [
        _parameter("target", Annotated[str | None, file], None),
        _parameter("arguments", Annotated[list[str] | None, rest], None),
        *(_option(option) for option in OPTIONS),
    ]
    command.__doc__ = _HELP
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    return command


def _option(option: Option) -> inspect.Parameter:
    names = ("/".join(option.names),) if option.kind == "choice" else option.names
    kind, default = _TYPES[option.kind]
    declared = typer.Option(*names, metavar=option.metavar or None, help=option.help)
    return _parameter(option.field, Annotated[kind, declared], default)


def _parameter(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
