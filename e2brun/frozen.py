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


@dataclass_transform(frozen_default=True)
class Frozen:
    """The annotated names of a class are its fields; those with a value may be left out. Equal
    where the fields are. Never changed: `but` makes another.
    """

    _names: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[Mapping[str, object]] = {}

    def __init_subclass__(cls) -> None:
        own = [name for name in cls.__annotations__ if name not in cls._names]
        cls._names = (*cls._names, *own)
        given = {name: cls.__dict__[name] for name in own if name in cls.__dict__}
        cls._defaults = {**cls._defaults, **given}

    def __init__(self, *values: object, **named: object) -> None:
        names = self._names
        given = {**dict(zip(names, values, strict=False)), **named}
        found = {**self._defaults, **given}
        if len(given) < len(values) + len(named) or len(found) > len(names):
            raise TypeError(f"{type(self).__name__}: wrong arguments: {values}, {list(named)}")
        try:
            self.__dict__.update(zip(names, map(found.__getitem__, names), strict=True))
        except KeyError as error:
            raise TypeError(f"{type(self).__name__}: missing: {error.args[0]}") from None

    def but(self, **changes: object) -> Self:
        """The same with other values of these fields."""
        return type(self)(**{**self.__dict__, **changes})

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
