"""Read a TOML table into a frozen dataclass, and note all that is wrong with it.

Not pydantic: importing it takes longer than a whole `e2brun exec`, and what it says of unions
names no key of the user's. The dataclasses of `schema` are the schema: a field is a key, its type
is what the key takes, a field without a default must be there.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from e2brun.errors import UsageError
from e2brun.pipeline.kinds import Kind
from e2brun.pipeline.places import Path as KeyPath
from e2brun.values import clipped, is_list, is_table, suggestion

T = TypeVar("T")
_NAMES = {
    str: "text", bool: "true or false", int: "a whole number", float: "a number",
    list: "a list", dict: "a table",
}  # fmt: skip


@dataclass(frozen=True)
class Tagged:
    """A table whose key `key` says which of `tables` it is."""

    key: str
    tables: Mapping[str, type]


class _Wrong(Exception):
    """What is wrong was noted; there is no value."""


@dataclass
class TomlReader:
    """Reads one document; `problems` are (path of keys, message)."""

    directory: Path
    problems: list[tuple[KeyPath, str]] = field(default_factory=list[tuple[KeyPath, str]])

    def table(self, kind: type[T], raw: Mapping[str, object], path: KeyPath = ()) -> T | None:
        """`raw` as a `kind`; None where something is wrong with it."""
        before = len(self.problems)
        known = keys_of(cast("Any", kind))
        for key in raw.keys() - known.keys():
            hint = suggestion(key, known)
            self.note((*path, key), f"{_title(path)} has no key {key!r}{hint}")
        values = self._values(known, raw, path)
        if len(self.problems) > before:
            return None
        try:
            return kind(**values)
        except UsageError as error:
            self.note(path, f"{_title(path)}: {error}")
            return None

    def _values(
        self, known: Mapping[str, tuple[Any, Field[Any]]], raw: Mapping[str, object], path: KeyPath
    ) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, (wanted, declared) in known.items():
            if key in raw:
                with suppress(_Wrong):
                    values[declared.name] = self.value(wanted, raw[key], (*path, key))
            elif declared.default is MISSING and declared.default_factory is MISSING:
                self.note(path, f"{_title(path)} has no {key!r}")
        return values

    def note(self, path: KeyPath, message: str) -> None:
        self.problems.append((path, message))

    def value(self, wanted: Any, raw: object, path: KeyPath) -> object:
        """`raw` as what a key takes. Raises _Wrong after noting why not."""
        origin, arguments = get_origin(wanted), get_args(wanted)
        if origin is Annotated:
            return self._marked(arguments[0], arguments[1], raw, path)
        if origin in {Union, types.UnionType}:
            return self._one_of(arguments, raw, path)
        if origin is Literal:
            return self._word(arguments, raw, path)
        return self._shaped(wanted, raw, path)

    def _shaped(self, wanted: Any, raw: object, path: KeyPath) -> object:
        origin, arguments = get_origin(wanted), get_args(wanted)
        if origin is tuple:
            return self._items(arguments[0], raw, path)
        if origin is not None and issubclass(origin, Mapping):
            items = self._as_table(raw, path).items()
            return {key: self.value(arguments[1], value, (*path, key)) for key, value in items}
        if is_dataclass(wanted):
            return self._nested(cast("type[object]", wanted), raw, path)
        return raw if wanted is object else self._plain(wanted, raw, path)

    def _marked(self, kind: Any, mark: object, raw: object, path: KeyPath) -> object:
        if isinstance(mark, Tagged):
            return self._tagged(mark, raw, path)
        if not isinstance(mark, Kind):
            return self.value(kind, raw, path)
        try:
            return mark.read(raw, self.directory)
        except (UsageError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise self._wrong(path, f"{_dotted(path)}: {why}") from error

    def _tagged(self, mark: Tagged, raw: object, path: KeyPath) -> object:
        table = self._as_table(raw, path)
        tag = table.get(mark.key)
        if mark.key not in table:
            raise self._wrong(path, f"{_title(path)} has no {mark.key!r}: which of "
                        f"{', '.join(mark.tables)}?")  # fmt: skip
        chosen = mark.tables.get(tag) if isinstance(tag, str) else None
        if chosen is None:
            hint = suggestion(str(tag), mark.tables)
            raise self._wrong((*path, mark.key), f"no {path[0]} is named {tag!r}{hint}")
        rest = {key: value for key, value in table.items() if key != mark.key}
        return self._nested(chosen, rest, path)

    def _nested(self, kind: type[object], raw: object, path: KeyPath) -> object:
        read = self.table(kind, self._as_table(raw, path), path)
        if read is None:
            raise _Wrong
        return read

    def _one_of(self, kinds: tuple[Any, ...], raw: object, path: KeyPath) -> object:
        """The first that takes it. Where none does, what the likeliest one says."""
        wanted = [kind for kind in kinds if kind is not type(None)]
        likely = [kind for kind in wanted if _fits(kind, raw)]
        for kind in likely[:-1]:
            trial = TomlReader(self.directory)
            try:
                return trial.value(kind, raw, path)
            except _Wrong:
                continue
        if likely:
            return self.value(likely[-1], raw, path)
        if len(wanted) == 1:
            return self.value(wanted[0], raw, path)
        raise self._wrong(
            path, f"{_dotted(path)} is {' or '.join(map(wording, wanted))}, not {_said(raw)}"
        )

    def _word(self, words: tuple[object, ...], raw: object, path: KeyPath) -> object:
        if isinstance(raw, str) and raw in words:
            return raw
        hint = suggestion(str(raw), [str(word) for word in words])
        raise self._wrong(path, f"{_dotted(path)} cannot be {raw!r}{hint}")

    def _items(self, kind: Any, raw: object, path: KeyPath) -> tuple[object, ...]:
        if not is_list(raw):
            raise self._wrong(path, f"{_dotted(path)} is a list, not {_said(raw)}")
        read: list[object] = []
        wrong = False
        for number, item in enumerate(raw):
            try:
                read.append(self.value(kind, item, (*path, number)))
            except _Wrong:
                wrong = True
        if wrong:
            raise _Wrong
        return tuple(read)

    def _plain(self, wanted: type, raw: object, path: KeyPath) -> object:
        number = wanted is float and isinstance(raw, int) and not isinstance(raw, bool)
        if type(raw) is not wanted and not number:
            raise self._wrong(path, f"{_dotted(path)} is {_NAMES[wanted]}, not {_said(raw)}")
        return float(cast("float", raw)) if number else raw

    def _as_table(self, raw: object, path: KeyPath) -> Mapping[str, object]:
        if not is_table(raw):
            raise self._wrong(path, f"{_dotted(path)} is a table, not {_said(raw)}")
        return raw

    def _wrong(self, path: KeyPath, message: str) -> _Wrong:
        self.problems.append((path, message))
        return _Wrong()


@cache
def keys_of(kind: Any) -> dict[str, tuple[Any, Field[Any]]]:
    """What a table may hold: by key, its type and its field."""
    hints = get_type_hints(kind, include_extras=True)
    declared: tuple[Field[Any], ...] = fields(kind)
    return {f.metadata.get("key", f.name): (hints[f.name], f) for f in declared}


def wording(kind: Any) -> str:
    """What a key takes, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        mark = arguments[1]
        return mark.wanted if isinstance(mark, Kind) else wording(arguments[0])
    if origin is tuple:
        return "a list"
    if is_dataclass(kind) or origin is not None:
        return "a table"
    return _NAMES.get(kind, "a value")


def _fits(kind: Any, raw: object) -> bool:
    """Whether `raw` has the shape of a `kind`, whatever is in it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return isinstance(arguments[1], Tagged) or not isinstance(raw, list | dict)
    if origin is tuple:
        return is_list(raw)
    if origin is Literal or kind is str:
        return isinstance(raw, str)
    if is_dataclass(kind) or (origin is not None and issubclass(origin, Mapping)):
        return is_table(raw)
    if kind is float:
        return isinstance(raw, int | float) and not isinstance(raw, bool)
    return kind is object or type(raw) is kind


def _dotted(path: KeyPath) -> str:
    return ".".join(str(part) for part in path if not isinstance(part, int)) or "the file"


def _title(path: KeyPath) -> str:
    if not path:
        return "the file"
    if len(path) == 2 and isinstance(path[1], int):
        return f"[[{path[0]}]]"
    return f"[{_dotted(path)}]"


def _said(raw: object) -> str:
    if is_list(raw):
        return "a list"
    if is_table(raw):
        return "a table"
    shown = clipped(repr(raw), 40)
    if isinstance(raw, bool):
        return str(raw).lower()
    return f"text ({shown})" if isinstance(raw, str) else shown
