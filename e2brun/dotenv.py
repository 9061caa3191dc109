"""Environment variables as people write them: NAME=VALUE, and files of such lines. What is wrong
with one raises UsageError. No message repeats a value: it may be a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from e2brun.errors import UsageError
from e2brun.values import shown

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def parse_env_assignment(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`; the value may be empty and may hold anything but NUL."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError('an environment variable is written NAME=VALUE; there is no "="')
    if not re.fullmatch(_NAME, name):
        raise UsageError(
            f"{shown(name)} is not a variable name: letters, digits and _, no digit first"
        )
    if "\0" in value:
        raise UsageError(f"the value of {name} holds a NUL byte")
    return name, value


def parse_env_assignments(words: Iterable[str]) -> dict[str, str]:
    """Those of `--env`, of which the last of two equal names wins."""
    try:
        return dict(map(parse_env_assignment, words))
    except UsageError as error:
        raise UsageError(f"--env: {error}") from error


def parse_env_file(path: Path) -> dict[str, str]:
    """The variables of a dotenv file; the last of two equal names wins.

    `NAME=VALUE` lines, `export`, comments, 'single' and "double" quotes over several lines.
    `$` stands for itself. A line that is none of this raises UsageError with file and line.
    """
    with UsageError.of_system(path):
        text = path.read_bytes().decode("utf-8-sig")
    found: dict[str, str] = {}
    for entry in env_entries(text):
        if entry.problem:
            raise UsageError(f"{path}:{entry.line}: {entry.problem}")
        found[entry.name] = entry.value
    return found


class EnvEntry(NamedTuple):
    """One assignment of a dotenv file, or (`problem` set) a line that is not one. For a line with a
    problem, `name` is how it begins, as far as it looks like a name."""

    line: int
    name: str
    value: str
    problem: str = ""


def env_entries(text: str) -> Iterator[EnvEntry]:
    """Read a dotenv text; a bad line is yielded as such and the next one is read."""
    text = text.replace("\r\n", "\n")
    line, position = 1, 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        begin = position
        match = re.compile(rf"[ \t]*(?:export[ \t]+)?({_NAME})[ \t]*=[ \t]*").match(
            text, position, end
        )
        if match is None:
            entry = _not_an_assignment(text[position:end], line)
        elif text[match.end() : match.end() + 1] in {"'", '"'}:
            value, after = _quoted(text, match.end())
            entry = EnvEntry(line, match[1], value)
            if after < 0:
                entry = entry._replace(value="", problem=value)
            else:
                end = after
        else:
            # From one character earlier: `NAME= # why` is a comment, `NAME=#1` is not.
            value = re.sub(r"(?<=[ \t])#.*", "", text[match.end() - 1 : end], count=1)
            entry = EnvEntry(line, match[1], value[1:].strip())
        position = end + 1
        line += text.count("\n", begin, position)
        if entry is not None and "\0" in entry.value:
            entry = entry._replace(value="", problem="the value holds a NUL byte")
        if entry is not None:
            yield entry


def _not_an_assignment(written: str, line: int) -> EnvEntry | None:
    bare = written.strip()
    if not bare or bare.startswith("#"):
        return None
    match = re.match(rf"(?:export[ \t]+)?({_NAME})?", bare)
    name = (match[1] or "") if match else ""
    return EnvEntry(line, name, "", "not of the form NAME=VALUE")


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The value that begins with the quote at `start` and the end of its line; -1: a problem."""
    quote = text[start]
    plain = rf"[^{quote}\\]*+"
    value = re.compile(rf"{quote}({plain}(?:\\.{plain})*+){quote}", re.DOTALL)
    match = value.match(text, start)
    if match is None:
        return f"the quote {quote} is never closed", -1
    end = text.find("\n", match.end())
    end = len(text) if end < 0 else end
    if not re.fullmatch(r"[ \t]*|[ \t]+#.*", text[match.end() : end]):
        return "there is text after the closing quote", -1
    known = r"\\[\\']" if quote == "'" else r'\\[\\"$nrt]'
    meaning = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(known, lambda found: meaning.get(found[0][1], found[0][1]), match[1]), end
