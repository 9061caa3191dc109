"""Kinds of values in a TOML that TOML itself has no type for: durations, sizes, files, patterns.

A kind stands in `Annotated[...]` beside the type it makes. `read` raises UsageError with one line
saying what is accepted.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from e2brun.errors import UsageError
from e2brun.values import Network, parse_duration, parse_network, parse_size


class Kind:
    """Reads one value; `schema` is what an editor is told of it."""

    wanted: ClassVar[str] = ""
    schema: ClassVar[dict[str, object]] = {}

    def read(self, value: object, directory: Path) -> object:
        """The checked value. Paths are relative to `directory`."""
        raise NotImplementedError


class _Duration(Kind):
    wanted = 'a duration such as 30, "30s" or "5m"'
    schema: ClassVar[dict[str, object]] = {"type": ["number", "string"]}

    def read(self, value: object, directory: Path) -> float:
        """Seconds."""
        del directory
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{value} is not a duration: write 30, 30s, 5m or 1h")
        return parse_duration(f"{value:.6f}" if isinstance(value, float) else _text(value, self))


@dataclass(frozen=True)
class _Size(Kind):
    wanted: ClassVar[str] = 'a size such as "512M" or "1G"'
    schema: ClassVar[dict[str, object]] = {"type": ["integer", "string"]}
    zero: bool = False  # which means no limit

    def read(self, value: object, directory: Path) -> int:
        """Bytes."""
        del directory
        return parse_size(_text(value, self), zero=self.zero)


class _Count(Kind):
    wanted = "a whole number, 1 or more"
    schema: ClassVar[dict[str, object]] = {"type": "integer", "minimum": 1}

    def read(self, value: object, directory: Path) -> int:
        """A positive number."""
        del directory
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value < 10**9:
            raise UsageError(f"{_shown(value)} is not {self.wanted}")
        return value


class _File(Kind):
    wanted = "the name of a file"
    schema: ClassVar[dict[str, object]] = {"type": "string"}

    def read(self, value: object, directory: Path) -> Path:
        """A file that is there."""
        if not isinstance(value, str) or not value or "\0" in value:
            raise UsageError(f"{_shown(value)} is not {self.wanted}")
        path = directory / value
        if not path.is_file():
            raise UsageError(f"{value}: {missing(path)}")
        return path


class _Pattern(Kind):
    wanted = "a regular expression"
    schema: ClassVar[dict[str, object]] = {"type": "string", "format": "regex"}

    def read(self, value: object, directory: Path) -> str:
        """Text that `re` takes."""
        del directory
        if not isinstance(value, str):
            raise UsageError(f"{_shown(value)} is not {self.wanted}")
        try:
            re.compile(value)
        except (re.error, RecursionError, OverflowError) as error:
            raise UsageError(f"{value!r} is not a regular expression: {error}") from error
        return value


@dataclass(frozen=True)
class Requirement(Kind):
    """A PEP 508 requirement."""

    wanted: ClassVar[str] = "a requirement such as numpy>=1.26"
    schema: ClassVar[dict[str, object]] = {"type": "string"}

    def read(self, value: object, directory: Path) -> str:
        """Text that packaging takes."""
        del directory
        if not isinstance(value, str):
            raise UsageError(f"{_shown(value)} is not {self.wanted}")
        from e2brun.sandbox.requirement import parse_requirement

        parse_requirement(value)
        return value


class _Network(Kind):
    wanted = "none, packages or internet"
    schema: ClassVar[dict[str, object]] = {"enum": [*Network, True, False]}

    def read(self, value: object, directory: Path) -> Network:
        """Yes and no are internet and none."""
        del directory
        if not isinstance(value, bool | str):
            raise UsageError(f"{_shown(value)} is not {self.wanted}")
        return parse_network(str(value))


Duration = Annotated[float, _Duration()]
Size = Annotated[int, _Size()]
SizeOrNone = Annotated[int, _Size(zero=True)]
Count = Annotated[int, _Count()]
ExistingFile = Annotated[Path, _File()]
NetworkChoice = Annotated[Network, _Network()]
Pattern = Annotated[str, _Pattern()]
Package = Annotated[str, Requirement()]


def missing(path: Path) -> str:
    """Why `path` is no file, and which one in its directory may have been meant."""
    if path.is_dir():
        return "is a directory, not a file"
    from e2brun.pipeline.problems import suggestion

    try:
        names = os.listdir(path.parent)
    except OSError:
        return f"no such file: there is no directory {path.parent.name}"
    hint = suggestion(path.name, names)
    return f"no such file{hint if 'did you mean' in hint else ''}"


def _text(value: object, kind: Kind) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UsageError(f"{_shown(value)} is not {kind.wanted}")
    return str(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
