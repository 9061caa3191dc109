"""The default key of a cache: equal when the same thing would run on the same input."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from types import CodeType
from typing import Any, Protocol, runtime_checkable

from e2brun.errors import UsageError
from e2brun.primitives.base import Primitive
from e2brun.values import is_mapping, is_sequence

Identity = dict[str, object]


@runtime_checkable
class Identified(Protocol):
    """A step that says itself what beside its input decides its output."""

    def identity(self) -> Identity:
        """Values that JSON can hold; no secrets."""
        ...


def default_key(step: Primitive[Any, Any], data: object) -> str:
    """The SHA-256 of the step's settings and its input: for code its text, the files' contents,
    what is installed, the timeout.

    Raises UsageError for an input that is neither JSON nor bytes: that needs a key_fn.
    """
    import hashlib

    whole = json.dumps([_step(step), _plain(data)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(whole.encode()).hexdigest()


def _step(step: Primitive[Any, Any]) -> object:
    kind = f"{type(step).__module__}.{type(step).__qualname__}"
    if isinstance(step, Identified):
        return [kind, step.identity()]
    if not dataclasses.is_dataclass(step):
        return kind
    fields = [field for field in dataclasses.fields(step) if field.repr]
    return [kind, {field.name: _setting(getattr(step, field.name)) for field in fields}]


def _setting(value: object) -> object:
    match value:
        case Primitive():
            return _step(value)  # pyright: ignore[reportUnknownArgumentType]
        case _ if is_sequence(value):
            return [_setting(item) for item in value]
        case _ if is_mapping(value):
            return {str(key): _setting(item) for key, item in value.items()}
        case None | bool() | int() | float() | str() | bytes():
            return _plain(value)
        case _ if callable(value):
            return _function(value)
        case _:
            return type(value).__qualname__


def _function(function: Callable[..., object]) -> object:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code: object = getattr(function, "__code__", None)
    body = _code(code) if isinstance(code, CodeType) else None
    return [getattr(function, "__module__", None), name, body]


def _code(code: CodeType) -> object:
    """So that a function that was edited is another one to a cache that outlives us."""
    constants = [
        _code(constant) if isinstance(constant, CodeType) else repr(type(constant)) + str(constant)
        for constant in code.co_consts
        if isinstance(constant, CodeType | str | int | float | bytes | None)
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _plain(value: object) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes() | bytearray():
            return {"bytes": value.hex()}
        case _ if is_sequence(value):
            return [_plain(item) for item in value]
        case _ if is_mapping(value):
            return {f"{type(key).__name__}:{key}": _plain(item) for key, item in value.items()}
        case _:
            raise UsageError(
                f"a {type(value).__name__} has no default key in a cache",
                hint="Give CachePrimitive a key_fn.",
            )
