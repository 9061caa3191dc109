"""Turn what people type into values: durations, sizes, switches; and tell what JSON and TOML hold
by its form.

Every parser raises UsageError with one line saying what is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from e2brun.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn, TypeGuard

MAX_VALUES = 1_000_000  # of JSON that a stranger sends: a list costs him 3 bytes, and us 56
# The closing quote is optional, or a line of escaped quotes would cost quadratic time.
_STRING = rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
MAX_DURATION = 7 * 24 * 3600.0
"""poll(2) and friends count milliseconds in 32 bits, so an endless wait is refused up front."""
MAX_SIZE = 2**60

_UNIT_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_UNIT_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})

# Patterns are given to `re` where they are used, not compiled here: `e2brun exec hello.py`
# imports this module and parses nothing.
_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"


class Network(StrEnum):
    """What code in a sandbox can reach outside it."""

    NONE = "none"
    PACKAGES = "packages"  # the package indexes of this machine's settings, and nothing else
    INTERNET = "internet"


class Given(NamedTuple):
    """A value as written, and where: `--timeout`, `E2BRUN_TIMEOUT`, `.env:3`, a TOML line."""

    value: object
    where: str
    by_project: bool = False


def refuse_constant(name: str) -> NoReturn:
    """For whom `NaN` and `Infinity`, which Python's json takes for numbers, are no JSON."""
    raise ValueError(f"{name} is no JSON number")


def is_table(value: object) -> TypeGuard[dict[str, object]]:
    """Whether it is a JSON object, or a TOML table."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    """Whether it is any mapping, not JSON's alone: what its keys are is not looked at."""
    return isinstance(value, Mapping)


def is_sequence(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, list | tuple)


def is_text_table(value: object) -> TypeGuard[dict[str, str]]:
    return is_table(value) and all(isinstance(item, str) for item in value.values())


def is_text_list(value: object) -> TypeGuard[list[str]]:
    return is_list(value) and all(isinstance(item, str) for item in value)


def parse_duration(text: str, *, maximum: float = MAX_DURATION) -> float:
    """Seconds, more than 0: `30s`, `5m`, `1h`, `2m30s`, `500ms`; a bare number is seconds."""
    wanted = f"{shown(text)} is not a duration: write 30, 30s, 5m, 1h, 2m30s or 500ms"
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
        raise UsageError(f"{shown(text)} is out of range: more than 0, at most {limit}")
    return seconds


def parse_size(text: str, *, zero: bool = False) -> int:
    """Bytes: `100`, `64k`, `512M`, `1G`, `10MiB`, all in powers of 1024."""
    match = re.fullmatch(rf"({_NUMBER})\s*([kmgt]?)(?:i?b)?", text.strip(), re.IGNORECASE)
    if match is None or (match[2] == "" and "." in match[1]):
        raise UsageError(f"{shown(text)} is not a size: write 100, 64k, 512M, 1G or 10MiB")
    size = float(match[1]) * 1024 ** _UNIT_POWER[match[2].lower()]
    if size > MAX_SIZE or (size < 1 and not (zero and size == 0)):
        raise UsageError(f"{shown(text)} is out of range: from {0 if zero else 1} to 1048576T")
    return int(size)


def parse_count(text: str) -> int:
    """A whole number, 1 or more."""
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or int(text) == 0:
        raise UsageError(f"{shown(text)} is not a count: write a whole number, 1 or more")
    return int(text)


def parse_network(text: str) -> Network:
    """`none`, `packages`, `internet`; yes and no are short for internet and none."""
    word = text.strip().lower()
    if word in _TRUE:
        return Network.INTERNET
    if word in FALSE:
        return Network.NONE
    if word not in set(Network):
        raise UsageError(f"{shown(text)} is no network: write none, packages or internet")
    return Network(word)


def parse_switch(text: str) -> bool:
    """`1 true yes on` or `0 false no off`, in any case."""
    word = text.strip().lower()
    if word not in _TRUE | FALSE:
        raise UsageError(f"{shown(text)} is neither yes nor no: write true or false")
    return word in _TRUE


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is nearly."""
    import difflib

    lower = {candidate.lower(): candidate for candidate in sorted(known)}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    return lower[near[0]] if near else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)`, or the few names there are, or nothing."""
    names = sorted(known)
    if near := nearest(name, names):
        return f' (did you mean "{near}"?)'
    return f" (known: {', '.join(names)})" if 0 < len(names) <= 24 else ""


# tomllib walks down all parts of a name for each of them. Looked for from where a name begins, or a
# long word would be read once for each of its letters, and a text for each quote that is escaped.
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_LONG_NAME = rf"""(?a)(?<![\w"'.\\-])(?:{_PART}[ \t]*+\.[ \t]*+){{100}}"""
_LONG_NUMBER = r"[0-9_]{4300}"  # what Python converts (sys.int_info)


def toml_tables(text: str) -> dict[str, object]:
    """What a stranger's TOML holds. Raises ValueError for anything else, see `toml_problem`."""
    import tomllib  # 8 ms

    if name := re.search(_LONG_NAME, text):
        raise ValueError("a name has more than 100 parts" + _at(text, name))
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:
        number = re.search(_LONG_NUMBER, text)
        raise ValueError("a number is too long" + _at(text, number)) from None
    except RecursionError:
        raise ValueError("nested too deeply" + _at(text, None)) from None


def _at(text: str, where: re.Match[str] | None) -> str:
    line = text.count("\n", 0, where.start()) + 1 if where else 1
    return f" (at line {line}, column 1)"


def toml_problem(error: Exception, text: str) -> tuple[int, str]:
    """The line where tomllib stopped, which it tells in words (`at line 3, column 5`, `at end of
    document`), and what it found there."""
    at = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(error))
    line = int(at[1]) if at and at[1] else text.rstrip("\n").count("\n") + 1
    return line, str(error)[: at.start()] if at else str(error)


def shown(text: str) -> str:
    """What was typed, as much of it as a message has room for."""
    return repr(clipped(text, 60))


def valid_unicode(text: str) -> str:
    """With U+FFFD for half a character, which nobody can write; two halves are joined."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def clipped(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def values_in(text: bytes, few: int) -> int:
    """How many values JSON has; at most, where these are few: what stands inside strings counts."""
    count = _separators(text)
    return count if count <= few else _separators(re.sub(_STRING, b"", text))


def _separators(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")
