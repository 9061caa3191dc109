"""A command for Typer, which reads a signature that stands nowhere in the source, from a table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer

from e2brun.cli.options import Option

NOTHING = inspect.Parameter.empty  # the default of an argument that has to be there
_TYPES: dict[str, tuple[Any, object]] = {
    "switch": (bool, False),
    "choice": (bool | None, None),
    "text": (str | None, None),
    "words": (list[str] | None, None),
}


def command_of(
    options: Iterable[Option],
    arguments: Mapping[str, tuple[object, object]],
    run: Callable[[dict[str, object]], int],
    text: str,
) -> Callable[..., None]:
    """`arguments`: type and default by name, of the words that are no option. `run` is given
    every value by name and returns the exit code; `text` is the help."""

    def command(**values: object) -> None:
        raise typer.Exit(run(values))

    parameters = [
        *(_parameter(name, kind, default) for name, (kind, default) in arguments.items()),
        *map(_option, options),
    ]
    command.__doc__ = text
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
