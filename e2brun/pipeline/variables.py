"""The variables of a pipeline: which are used where, `[vars]` that refer to each other, and what
`--set execute.timeout=60` and `--var name=value` say over the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from e2brun.errors import UsageError
from e2brun.pipeline.places import Path as KeyPath
from e2brun.stages.template import placeholders, render
from e2brun.values import is_list, is_table, suggestion, toml_tables

_RENDERED: Mapping[str, frozenset[str] | None] = {  # None: every key
    "generate": frozenset({"code", "prompt", "command"}),
    "execute": frozenset(
        {"args", "env", "stdin", "parameters", "files", "inline_files", "get", "cwd"}
    ),
    "sandbox": frozenset({"env"}),
    "check": None,
}


def used(raw: Mapping[str, object]) -> dict[str, KeyPath]:
    """Every variable that a stage will ask for, and the first place that does."""
    found: dict[str, KeyPath] = {}
    for table, keys in _RENDERED.items():
        for path, text in _texts(raw.get(table), (table,)):
            key = next((part for part in path[1:] if isinstance(part, str)), "")
            if keys is None or key in keys:
                for name in sorted(placeholders(text)):
                    found.setdefault(name, path)
    return found


def resolved(variables: Mapping[str, object]) -> dict[str, object]:
    """With those that refer to others filled in. Raises UsageError (with `.variable`)."""
    done: dict[str, object] = {}
    for name in variables:
        _resolve(name, variables, done, ())
    return done


class VariableError(UsageError):
    """A variable that cannot be had."""

    def __init__(self, variable: str, message: str) -> None:
        super().__init__(message)
        self.variable = variable


def _resolve(
    name: str, variables: Mapping[str, object], done: dict[str, object], above: tuple[str, ...]
) -> None:
    if name in done:
        return
    if name in above:
        circle = " -> ".join((*above[above.index(name) :], name))
        raise VariableError(above[0], f"vars go round in a circle: {circle}")
    value = variables[name]
    if isinstance(value, str):
        for other in sorted(placeholders(value)):
            if other not in variables:
                raise VariableError(
                    name, f"vars.{name} uses {{{{{other}}}}}, which is not in [vars]"
                    + suggestion(other, variables),
                )  # fmt: skip
            _resolve(other, variables, done, (*above, name))
        try:
            value = render(value, done)
        except UsageError as error:  # it grows too long
            raise VariableError(name, f"vars.{name}: {error}") from error
    done[name] = value


def _texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif is_table(value):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif is_list(value):
        for number, item in enumerate(value):
            yield from _texts(item, (*path, number))


def parse_set(text: str) -> tuple[KeyPath, object]:
    """The path of keys and the value. Raises UsageError."""
    name, equals, value = text.partition("=")
    parts = [part.strip() for part in name.split(".")]
    if not equals or not all(parts):
        raise UsageError(f"--set {text}: write it like execute.timeout=60")
    path: KeyPath = tuple(int(part) if part.isdecimal() else part for part in parts)
    return path, toml_value(value)


def parse_var(text: str) -> tuple[str, str]:
    """Name and value. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--var {text}: write it like name=value")
    return name.strip(), value


def toml_value(text: str) -> object:
    """What TOML makes of it; what TOML cannot read is text."""
    if "\n" not in text:
        try:
            return toml_tables(f"value = {text}")["value"]
        except ValueError:
            pass
    return text


def apply(raw: dict[str, object], settings: Iterable[str]) -> Mapping[KeyPath, str]:
    """Write each into `raw`; by path, the option as it was given. Raises UsageError."""
    given: dict[KeyPath, str] = {}
    for text in settings:
        path, value = parse_set(text)
        label = f"--set {text}"
        _write(raw, path, value, label)
        given[path] = label
    return given


def _write(raw: dict[str, object], path: KeyPath, value: object, label: str) -> None:
    here: object = raw
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if is_table(here):
            if last:
                here[str(part)] = value
            here = here.setdefault(str(part), {})
        elif is_list(here):
            if not isinstance(part, int) or part >= len(here):
                many = f"{len(here)} here, numbered from 0"
                raise UsageError(f"{label}: {'.'.join(map(str, path[:depth]))} has {many}")
            if last:
                here[part] = value
            here = here[part]
        else:
            raise UsageError(f"{label}: {'.'.join(map(str, path[:depth]))} is not a table")
