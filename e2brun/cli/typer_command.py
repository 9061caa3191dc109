"""A command for Typer, which reads a signature that stands nowhere in the source, from a table."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from e2brun.cli.options import NETWORK, Option, Request, network_of

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
NOTHING = inspect.Parameter.empty  # the default of an argument that has to be there
_TYPES: dict[str, Any] = {
    "switch": bool,
    "choice": bool | None,
    "text": str | None,
    "words": list[str] | None,
    "network": str | None,
    "number": int,
}


class Networked(TyperCommand):
    """A command with `--network`, whose value may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spell it out among the options; what else there is, is none of ours to read."""
        valued = {name for one in self.params if _takes_value(one) for name in one.opts}
        spelled: list[str] = []
        rest = list(reversed(args))
        while rest:
            word = rest.pop()
            name, equals, value = word.partition("=")
            if name in NETWORK.names:
                word = f"--network={network_of(name, value if equals else None, rest)}"
            elif word == "--" or not (ctx.allow_interspersed_args or word[:1] == "-" != word):
                return super().parse_args(ctx, [*spelled, word, *reversed(rest)])
            elif word in valued and rest:
                spelled.append(word)
                word = rest.pop()
            spelled.append(word)
        return super().parse_args(ctx, spelled)


def _takes_value(parameter: Any) -> bool:
    return parameter.param_type_name == "option" and not parameter.is_flag


def command_of(
    asked: type[Request], arguments: Mapping[str, tuple[object, object]], run: str, text: str
) -> Callable[..., int]:
    """`arguments`: type and default by name, of the words that are no option. `run`, written
    `module:function` and imported only then, is given what was asked and returns the exit code;
    `text` is the help."""

    def command(**values: object) -> int:
        running: Callable[[Request], int] = resolve_name(run)
        return running(asked.of(values))

    parameters = [
        *(_parameter(name, kind, default) for name, (kind, default) in arguments.items()),
        *map(_option, asked.options),
    ]
    command.__doc__ = text
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # pyright: ignore[reportFunctionMemberAccess]
    return command


def _option(option: Option) -> inspect.Parameter:
    names = ("/".join(option.names),) if option.kind == "choice" else option.names
    least, most = option.bounds
    declared = typer.Option(
        *names, metavar=option.metavar or None, help=option.help, min=least, max=most
    )
    default = None if option.kind == "words" else option.default
    return _parameter(option.field, Annotated[_TYPES[option.kind], declared], default)


def _parameter(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
