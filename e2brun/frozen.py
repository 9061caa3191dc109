"""Frozen values for what every `e2brun exec` imports: a dataclass is written as source and compiled
when its module is imported, and brings `inspect`. Thirty of them were a fifth of a start."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import ClassVar, NoReturn, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        """For type checkers only; `typing` costs what a sandbox's mounts cost."""
        return lambda kind: kind


_MISSING = object()


@dataclass_transform(frozen_default=True)
class Frozen:
    """The annotated names of a class are its fields; those with a value may be left out. Equal
    where the fields are. Never changed: `but` makes another.
    """

    _fields: ClassVar[Mapping[str, object]] = {}  # in their order, with what each has if not given
    _needed: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        own = [name for name in cls.__annotations__ if name not in cls._fields]
        cls._fields = {**cls._fields, **{name: cls.__dict__.get(name, _MISSING) for name in own}}
        cls._needed = tuple(name for name, value in cls._fields.items() if value is _MISSING)

    def __init__(self, *values: object, **named: object) -> None:
        fields = self._fields
        placed = dict(zip(fields, values, strict=False))
        found = {**fields, **named, **placed}
        if (
            len(placed) < len(values)
            or len(found) > len(fields)
            or not placed.keys().isdisjoint(named)
        ):
            raise TypeError(f"{type(self).__name__}: wrong arguments: {values}, {list(named)}")
        for name in self._needed:
            if found[name] is _MISSING:
                raise TypeError(f"{type(self).__name__}: missing: {name}")
        self.__dict__.update(found)

    def but(self, **changes: object) -> Self:
        """The same with other values of these fields."""
        if not changes.keys() <= self._fields.keys():
            raise TypeError(f"{type(self).__name__}: wrong arguments: {list(changes)}")
        made = object.__new__(type(self))
        made.__dict__.update({**self.__dict__, **changes})
        return made

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name}: a {type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name}: a {type(self).__name__} is frozen")
