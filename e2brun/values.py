"""Turn what people type into values: durations, sizes, switches, environment assignments.

Every parser raises UsageError with one line saying what is accepted. No message repeats the
value of an environment variable: it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from e2brun.errors import UsageError

MAX_DURATION = 7 * 24 * 3600.0
"""poll(2) and friends count milliseconds in 32 bits, so an endless wait is refused up front."""
MAX_SIZE = 2**60

_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_UNIT_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})

# Patterns are given to `re` where they are used, not compiled here: `e2brun exec hello.py`
# imports this module and parses nothing.
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"


def parse_duration(text: str, *, maximum: float = MAX_DURATION) -> float:
    """Seconds, more than 0: `30s`, `5m`, `1h`, `2m30s`, `500ms`; a bare number is seconds."""
    wanted = f"{_shown(text)} is not a duration: write 30, 30s, 5m, 1h, 2m30s or 500ms"
    written = text.strip()
    if re.fullmatch(_NUMBER, written):
        seconds = float(written)
    elif re.fullmatch(rf"(?:(?:{_NUMBER})(?:ms|[dhms]))+", written):
        parts = re.findall(rf"({_NUMBER})(ms|[dhms])", written)
        units = [unit for _, unit in parts]
        if units != sorted(set(units), key=list(_UNIT_SECONDS).index):
            raise UsageError(wanted)
        seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    else:
        raise UsageError(wanted)
    if not 0 < seconds <= maximum:
        limit = f"{maximum / 3600:g} h" if maximum >= 3600 else f"{maximum:g} s"
        raise UsageError(f"{_shown(text)} is out of range: more than 0, at most {limit}")
    return seconds


def parse_size(text: str, *, zero: bool = False) -> int:
    """Bytes: `100`, `64k`, `512M`, `1G`, `10MiB`, all in powers of 1024."""
    match = re.fullmatch(rf"({_NUMBER})\s*([kmgt]?)(?:i?b)?", text.strip(), re.IGNORECASE)
    if match is None or (match[2] == "" and "." in match[1]):
        raise UsageError(f"{_shown(text)} is not a size: write 100, 64k, 512M, 1G or 10MiB")
    size = float(match[1]) * 1024 ** _UNIT_POWER[match[2].lower()]
    if size > MAX_SIZE or (size < 1 and not (zero and size == 0)):
        raise UsageError(f"{_shown(text)} is out of range: from {0 if zero else 1} to 1048576T")
    return int(size)


def parse_count(text: str) -> int:
    """A whole number, 1 or more."""
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or int(text) == 0:
        raise UsageError(f"{_shown(text)} is not a count: write a whole number, 1 or more")
    return int(text)


def parse_switch(text: str) -> bool:
    """`1 true yes on` or `0 false no off`, in any case."""
    word = text.strip().lower()
    if word not in _TRUE | FALSE:
        raise UsageError(f"{_shown(text)} is neither yes nor no: write true or false")
    return word in _TRUE


def parse_env_assignment(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`; the value may be empty and may hold anything but NUL."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError('an environment variable is written NAME=VALUE; there is no "="')
    if not re.fullmatch(_NAME, name):
        raise UsageError(
            f"{_shown(name)} is not a variable name: letters, digits and _, no digit first"
        )
    if "\0" in value:
        raise UsageError(f"the value of {name} holds a NUL byte")
    return name, value


def parse_env_file(path: Path) -> dict[str, str]:
    """The variables of a dotenv file; the last of two equal names wins.

    `NAME=VALUE` lines, `export`, comments, 'single' and "double" quotes over several lines.
    `$` stands for itself. A line that is none of this raises UsageError with file and line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a text file in UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    found: dict[str, str] = {}
    for entry in env_entries(text):
        if entry.problem:
            raise UsageError(f"{path}:{entry.line}: {entry.problem}")
        found[entry.name] = entry.value
    return found


class EnvEntry(NamedTuple):
    """One assignment of a dotenv file, or (`problem` set) a line that is not one.

    For a line with a problem, `name` is how it begins, as far as it looks like a name.
    """

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
        if entry is not None:
            yield _without_nul(entry)


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
    match = re.compile(rf"{quote}((?:[^{quote}\\]|\\.)*+){quote}", re.DOTALL).match(text, start)
    if match is None:
        return f"the quote {quote} is never closed", -1
    end = text.find("\n", match.end())
    end = len(text) if end < 0 else end
    if not re.fullmatch(r"[ \t]*|[ \t]+#.*", text[match.end() : end]):
        return "there is text after the closing quote", -1
    known = r"\\[\\']" if quote == "'" else r'\\[\\"$nrt]'
    meaning = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(known, lambda found: meaning.get(found[0][1], found[0][1]), match[1]), end


def _without_nul(entry: EnvEntry) -> EnvEntry:
    if "\0" in entry.value:
        return entry._replace(value="", problem="the value holds a NUL byte")
    return entry


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
