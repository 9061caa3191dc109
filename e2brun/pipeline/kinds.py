"""Kinds of values in a TOML that TOML itself has no type for: durations, sizes, files, patterns.

A kind stands in `Annotated[...]` beside the type it makes. `read` raises UsageError with one line
saying what is accepted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from e2brun.errors import UsageError
from e2brun.values import Network, clipped, parse_duration, parse_network, parse_size


@dataclass(frozen=True, eq=False)  # a key of typing's: a dict has no hash
class Kind:
    """Reads one value; `schema` is what an editor is told of it. `parse` is given the value and
    the directory that paths are relative to, and raises TypeError for what is none."""

    wanted: str
    schema: Mapping[str, object]
    parse: Callable[[object, Path], object]

    def read(self, value: object, directory: Path) -> object:
        """The checked value. Raises UsageError, OSError."""
        try:
            return self.parse(value, directory)
        except TypeError:
            raise UsageError(f"{clipped(repr(value), 60)} is not {self.wanted}") from None


def _as(kind: type, value: object) -> str:
    """As text, what is a `kind` or text; a bool is no number here."""
    if isinstance(value, bool) or not isinstance(value, kind | str):
        raise TypeError
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _duration(value: object, _: Path) -> float:
    return parse_duration(_as(float if isinstance(value, float) else int, value))


def _count(value: object, _: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 10**9:
        raise TypeError
    return value


def _file(value: object, directory: Path) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise TypeError
    path = directory / value
    if not path.is_file():
        raise UsageError(f"{value}: {missing(path)}")
    return path


def _pattern(value: object, _: Path) -> str:
    text = _as(str, value)
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"{text!r} is not a regular expression: {error}") from error
    return text


def _package(value: object, _: Path) -> str:
    from e2brun.sandbox.requirement import parse_requirement

    parse_requirement(_as(str, value))
    return str(value)


def _network(value: object, _: Path) -> Network:
    """Yes and no are internet and none."""
    return parse_network(str(value) if isinstance(value, bool) else _as(str, value))


def _size(*, zero: bool) -> Kind:
    def parse(value: object, _: Path) -> int:
        return parse_size(_as(int, value), zero=zero)

    return Kind('a size such as "512M" or "1G"', {"type": ["integer", "string"]}, parse)


_TEXT = {"type": "string"}
Duration = Annotated[
    float, Kind('a duration such as 30, "30s" or "5m"', {"type": ["number", "string"]}, _duration)
]
Size = Annotated[int, _size(zero=False)]
SizeOrNone = Annotated[int, _size(zero=True)]  # 0 is no limit
Count = Annotated[int, Kind("a whole number, 1 or more", {"type": "integer", "minimum": 1}, _count)]
ExistingFile = Annotated[Path, Kind("the name of a file", _TEXT, _file)]
NetworkChoice = Annotated[
    Network, Kind("none, packages or internet", {"enum": [*Network, True, False]}, _network)
]
Pattern = Annotated[
    str, Kind("a regular expression", {"type": "string", "format": "regex"}, _pattern)
]
Package = Annotated[str, Kind("a requirement such as numpy>=1.26", _TEXT, _package)]


def missing(path: Path) -> str:
    """Why `path` is no file, and which one in its directory may have been meant."""
    if path.is_dir():
        return "is a directory, not a file"
    from e2brun.values import suggestion

    try:
        names = os.listdir(path.parent)
    except OSError:
        return f"no such file: there is no directory {path.parent.name}"
    hint = suggestion(path.name, names)
    return f"no such file{hint if 'did you mean' in hint else ''}"
