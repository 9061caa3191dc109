"""What is wrong with a pipeline, all of it, each with its place: tomllib tells no line of a key.

Only for text that tomllib has read: nothing is checked here. Lines are asked for when there is
something to complain about, and never on the way to a run.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from e2brun.errors import UsageError

Path = tuple[str | int, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}\n#]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One line: `where` is `file.toml:3`, `cases.csv:7` or an option of the command line."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class BrokenPipeline(UsageError):
    """The pipeline is wrong; nothing was run. `problems` are in the order of their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Places:
    """Which line a dotted path stands on; items of arrays are numbered from 0."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._starts = [0, *(m.end() for m in re.finditer("\n", self._text))]
        self._counts: dict[Path, int] = {}
        self.lines: dict[Path, int] = {(): 1}
        self._scan()

    def line(self, path: Path) -> int:
        """Of the path, or of the nearest table around it; counted from 1."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def _scan(self) -> None:
        table: Path = ()
        while self._skip():
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text[self._at] == "[":
                table = self._header(1)
            else:
                self._pair(table)

    def _skip(self) -> bool:
        """Over white space, line ends and comments; whether anything is left."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at < len(self._text)

    def _header(self, brackets: int) -> Path:
        line = self._line_here()
        self._at += brackets
        parts = self._key()
        self._at = self._text.index("]", self._at) + brackets
        path = self._within(parts[:-1], line)
        path = (*path, parts[-1])
        if brackets == 2:
            number = self._counts.get(path, 0)
            self._counts[path] = number + 1
            self.lines.setdefault(path, line)
            path = (*path, number)
        elif path in self._counts:
            path = (*path, self._counts[path] - 1)
        self.lines.setdefault(path, line)
        return path

    def _within(self, parts: list[str], line: int) -> Path:
        """The table that `parts` name from the root, in the last item of each array of tables."""
        path: Path = ()
        for part in parts:
            path = (*path, part)
            self.lines.setdefault(path, line)
            if path in self._counts:
                path = (*path, self._counts[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        line, path = self._line_here(), table
        for part in self._key():
            path = (*path, part)
            self.lines.setdefault(path, line)
        self._at = self._text.index("=", self._at) + 1
        self._value(path)

    def _key(self) -> list[str]:
        parts: list[str] = []
        while True:
            self._skip()
            quoted = _STRING.match(self._text, self._at)
            found = quoted or _BARE_KEY.match(self._text, self._at)
            if found is None:
                raise AssertionError(f"no key at {self._at}")
            self._at = found.end()
            parts.append(_unquoted(found[0]) if quoted else found[0])
            dot = _DOT.match(self._text, self._at)
            if dot is None:
                return parts
            self._at = dot.end()

    def _value(self, path: Path) -> None:
        self._skip()
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            found = _STRING.match(self._text, self._at) or _PLAIN.match(self._text, self._at)
            self._at = found.end() if found else self._at + 1

    def _array(self, path: Path) -> None:
        self._at += 1
        number = 0
        while self._skip() and self._text[self._at] != "]":
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self.lines[*path, number] = self._line_here()
            self._value((*path, number))
            number += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._skip() and self._text[self._at] != "}":
            if self._text[self._at] == ",":
                self._at += 1
            else:
                self._pair(path)
        self._at += 1

    def _line_here(self) -> int:
        return bisect_right(self._starts, self._at)


def _unquoted(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    import tomllib

    return next(iter(tomllib.loads(f"{text} = 0")))
