"""Modules that lie beside a source on this machine: read from its syntax tree, never imported.

A package with an `__init__.py` goes whole, for it may read its data and import by name; of a
directory without one, only what is imported. A link that leads out of the directory is not
followed: what it points at was not what the user named.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.jobs.parsing import imported as imported_names
from e2brun.jobs.uploads import gather, leads_into
from e2brun.sandbox.contract import Upload

_MOST_FILES, _MOST_BYTES = 2000, 64 * 1024 * 1024
_READ_BYTES = 1024 * 1024  # of one file: a longer one is sent, but not looked into


@dataclass(frozen=True, slots=True)
class Beside:
    """The modules of one directory, by name: `name in beside`."""

    directory: Path

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def find(self, name: str) -> Path | None:
        """The file, or the directory of the package, that has to be there to import `name`."""
        place, parts = self.directory, name.split(".")
        # Nothing in a directory hides what is built in.
        if "" in parts or parts[0] in sys.builtin_module_names:
            return None
        for part in parts:
            package, module = place / part, place / f"{part}.py"
            found = package if (package / "__init__.py").is_file() else module
            if found.is_file() or found is package:
                return found if leads_into(found, self.directory.resolve()) else None
            if not package.is_dir():
                return None
            place = package
        return None

    def hint(self, name: str, into: str | None) -> str | None:
        """What to do about `name`, which could not be imported; `into`: a directory inside."""
        found = self.find(name)
        if found is None:
            found = self.directory / name.partition(".")[0]
            if not found.is_dir() or not any(found.glob("*.py")):
                return None
        inside = found.relative_to(self.directory).as_posix()
        target = f"{into.rstrip('/')}/{inside}" if into else inside
        argument = f"{found}:{target}" if into or "/" in inside else str(found)
        return f"Add --file {shlex.quote(argument)}, or --with-imports."


def hidden_by(program: str, code: bytes, said: str) -> str | None:
    """What to do where `program`, a file, was imported in place of the package or module that
    the code meant; `said`: the error, which then names that module."""
    name = program.removesuffix(".py")
    if re.search(rf"(?:\b(?:module|from|named)|;) '{re.escape(name)}['.]", said) is None:
        return None
    if name in sys.stdlib_module_names:
        return f"{program} hides Python's own module {name}: give the file another name."
    if any(imported.partition(".")[0] == name for imported in imported_names(code)):
        return f"{program} hides the package {name} that it imports: give the file another name."
    return None


@dataclass
class Imported:
    """The local modules that some code imports, and those that they import: `uploads`, which go
    `into` a directory inside (None: the home)."""

    beside: Beside
    into: str | None
    notice: Callable[[str], None]
    uploads: dict[Path, Upload] = field(default_factory=dict[Path, Upload])
    _found: set[Path] = field(default_factory=set[Path])
    _size: int = 0

    def follow(self, code: str | bytes, package: Sequence[str] = ()) -> None:
        """Take what `code`, which is in `package`, imports. Raises UsageError: it is too much."""
        waiting = [(code, tuple(package))]
        while waiting:
            text, around = waiting.pop()
            for name in imported_names(text):
                found = self.beside.find(_absolute(name, around))
                if found is not None and found not in self._found:
                    self._found.add(found)
                    waiting += self._take(found)

    def _take(self, found: Path) -> Iterator[tuple[bytes, tuple[str, ...]]]:
        """The code that is new with it, each with its package."""
        inside = found.relative_to(self.beside.directory).as_posix()
        remote = f"{self.into.rstrip('/')}/{inside}" if self.into else inside
        for upload in gather(found, remote, self.notice):
            path = upload.source
            if not isinstance(path, Path) or path in self.uploads or "__pycache__" in path.parts:
                continue
            self.uploads[path] = upload
            self._size += path.stat().st_size
            if len(self.uploads) > _MOST_FILES or self._size > _MOST_BYTES:
                raise UsageError(
                    f"--with-imports: {found}: more than {_MOST_FILES} files or "
                    f"{_MOST_BYTES // 1024**2} MiB",
                    hint="Send what is needed with --file.",
                )
            if path.suffix == ".py" and path.stat().st_size <= _READ_BYTES:
                yield path.read_bytes(), path.relative_to(self.beside.directory).parts[:-1]


def _absolute(name: str, package: Sequence[str]) -> str:
    """A relative name (it begins with dots) as seen from `package`; `.`: it leads out of it."""
    rest = name.lstrip(".")
    level = len(name) - len(rest)
    if not level:
        return name
    return ".".join((*package[: len(package) - level + 1], rest)) if level <= len(package) else "."


def imported(
    codes: Iterable[str | bytes], directory: Path, into: str | None, notice: Callable[[str], None]
) -> tuple[Upload, ...]:
    """What has to be sent so that the code can import it."""
    found = Imported(Beside(directory), into, notice)
    with UsageError.of_system():
        for code in codes:
            found.follow(code)
    return tuple(found.uploads.values())
