"""`--set execute.timeout=60` and `--var name=value`: what the command line says over the file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import cast

from e2brun.errors import UsageError
from e2brun.pipeline.places import Path as KeyPath
from e2brun.values import is_list


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
            return tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):  # not all of tomllib's are its own
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
        if isinstance(here, dict):
            table = cast("dict[str, object]", cast("object", here))
            if last:
                table[str(part)] = value
            else:
                here = table.setdefault(str(part), {})
        elif is_list(here):
            if not isinstance(part, int) or part >= len(here):
                many = f"{len(here)} here, numbered from 0"
                raise UsageError(f"{label}: {'.'.join(map(str, path[:depth]))} has {many}")
            if last:
                here[part] = value
            here = here[part]
        else:
            raise UsageError(f"{label}: {'.'.join(map(str, path[:depth]))} is not a table")
