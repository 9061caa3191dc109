"""`{{name}}`: a variable of the case in a prompt, in code, in an argument, in what a check expects.

- `{{name}}` is the text of the variable as it is; anything but text is written as JSON.
- `{{name!r}}` is a Python literal: the form for code, since no text can break out of it.
- `\\{{name}}` stands for `{{name}}` itself.

Only a name between two braces on each side is looked at, so Python's, the shell's and JSON's
own braces stay what they are.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import TypeVar

from e2brun.errors import UsageError
from e2brun.values import is_mapping, is_sequence

_PLACE = r"\\?\{\{\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:(!r)\s*)?\}\}"

_LONGEST = 64 * 1024 * 1024  # variables may hold others, ten times each

T = TypeVar("T")


def placeholders(text: str) -> set[str]:
    """The names of the variables a text asks for."""
    found = re.finditer(_PLACE, text) if "{{" in text else ()
    return {match[1] for match in found if not match[0].startswith("\\")}


def render(text: str, variables: Mapping[str, object]) -> str:
    """The text with its variables filled in. Raises UsageError for one that is not there."""
    if "{{" not in text:
        return text
    room = _LONGEST

    def replaced(match: re.Match[str]) -> str:
        if match[0].startswith("\\"):
            return match[0][1:]
        nonlocal room
        value = _value(match[1], variables)
        if match[2]:
            filled = repr(value)
        else:
            filled = value if isinstance(value, str) else json.dumps(value, default=str)
        room -= len(filled)
        if room < 0:
            raise UsageError(f"{{{{{match[1]}}}}} makes a text of more than {_LONGEST} characters")
        return filled

    return re.sub(_PLACE, replaced, text)


def fill(value: object, variables: Mapping[str, object], *, typed: bool = False) -> object:
    """Every text inside a value rendered. With `typed`, a text that is one variable and nothing
    else becomes that variable, whatever its type."""
    match value:
        case str():
            whole = re.fullmatch(_PLACE, value) if typed and "{{" in value else None
            if whole and not whole[2] and not value.startswith("\\"):
                return _value(whole[1], variables)
            return render(value, variables)
        case _ if is_sequence(value):
            items = (fill(i, variables, typed=typed) for i in value)
            return tuple(items) if isinstance(value, tuple) else list(items)
        case _ if is_mapping(value):
            return {
                render(key, variables): fill(item, variables, typed=typed)
                for key, item in value.items()
            }
        case _:
            return value


def fill_fields(step: T, variables: Mapping[str, object], typed: frozenset[str]) -> T:
    """A dataclass with every text in its fields rendered; itself where there is none."""
    if not dataclasses.is_dataclass(step) or isinstance(step, type):
        return step
    changed: dict[str, object] = {}
    for field in dataclasses.fields(step):
        old: object = getattr(step, field.name)
        if isinstance(old, str) or is_sequence(old) or is_mapping(old):
            new = fill(old, variables, typed=field.name in typed)
            if new != old:
                changed[field.name] = new
    return dataclasses.replace(step, **changed) if changed else step


def _value(name: str, variables: Mapping[str, object]) -> object:
    if name not in variables:
        from e2brun.values import suggestion

        known = suggestion(name, variables) if variables else ": the case has none"
        raise UsageError(
            f"there is no variable {name!r}{known}",
            hint="To mean the braces themselves, write \\{{" + name + "}}.",
        )
    return variables[name]
