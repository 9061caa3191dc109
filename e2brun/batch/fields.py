"""The fields of a JSON object as parts of a case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from e2brun.batch.case import Case, Test
from e2brun.batch.ids import plain_id
from e2brun.batch.lines import Record
from e2brun.frozen import Frozen
from e2brun.jobs.source import Kind, Source
from e2brun.values import is_list, is_text_list

CODE = "code"
IDS = ("id", "task_id")
MAIN = "main.py"


class Unfit(Exception):
    """An object that is no case; `str()` says why, without the line."""


class Fields(Frozen):
    """Which fields hold what. Without `id`, `id` or `task_id` or the number of the line counts."""

    code: str = CODE
    id: str | None = None
    stdin: str | None = None
    expected: str | None = None

    def case(self, number: int, record: Record) -> Case:
        tests = tests_of(record, self.stdin, self.expected)
        return Case(id_of(number, record, self.id), program(text(record, self.code)), tests)


def program(code: str) -> Source:
    """Code that is in no file. Raises Unfit."""
    try:
        return Source(MAIN, code.encode(), Kind.PYTHON, Path(MAIN))
    except UnicodeEncodeError:
        raise Unfit("the code has half a character, which UTF-8 cannot say") from None


def text(record: Record, name: str) -> str:
    """A field that has to be there, and text."""
    if name not in record:
        known = ", ".join(repr(key) for key in list(record)[:8])
        raise Unfit(f"there is no field {name!r}; there are {known}"[:300])
    value = record[name]
    if not isinstance(value, str):
        raise Unfit(f"the field {name!r} is {kind(value)}, not text")
    return value


def id_of(number: int, record: Record, name: str | None) -> str:
    """Text or a number."""
    if name is None:
        name = next((one for one in IDS if one in record), None)
        if name is None:
            return str(number)
    if name not in record:
        raise Unfit(f"there is no field {name!r} for its id")
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Unfit(f"the id {name!r} is {kind(value)}; an id is text or a whole number")
    return plain_id(str(value))


def tests_of(record: Record, stdin: str | None, expected: str | None) -> tuple[Test, ...]:
    """One for each standard input and what is to be printed for it: texts, or lists of them."""
    given = None if stdin is None else _texts(record, stdin)
    wanted = None if expected is None else _texts(record, expected)
    if given is not None and wanted is not None and len(given) != len(wanted):
        raise Unfit(f"{stdin!r} has {len(given)} texts, and {expected!r} has {len(wanted)}")
    count = len(given if given is not None else wanted if wanted is not None else ("",))
    if not count:
        raise Unfit(f"{stdin or expected!r} is an empty list: nothing would be tested")
    return tuple(
        Test(
            None if given is None else _encoded(given[at], stdin),
            None if wanted is None else wanted[at],
        )
        for at in range(count)
    )


def _texts(record: Record, name: str) -> Sequence[str]:
    value = record.get(name)
    if not is_list(value):
        return (text(record, name),)
    if not is_text_list(value):
        raise Unfit(f"the field {name!r} is a list in which not everything is text")
    return value


def _encoded(value: str, name: str | None) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Unfit(f"{name!r} has half a character, which UTF-8 cannot say") from None


def kind(value: object) -> str:
    """What JSON calls it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "empty text"
        case list():
            return "a list"
        case _:
            return "an object"
