"""The JSON Schema of a pipeline, made from the same classes that read it."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from e2brun.pipeline.kinds import Kind
from e2brun.pipeline.reader import Tagged, keys_of
from e2brun.pipeline.schema import Document

Schema = dict[str, Any]

_SCALARS: dict[object, Schema] = {
    str: {"type": "string"}, bool: {"type": "boolean"}, int: {"type": "integer"},
    float: {"type": "number"}, object: {},
}  # fmt: skip


def json_schema() -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "e2brun pipeline",
        **_table(Document),
    }


def _table(kind: Any) -> Schema:
    properties: Schema = {}
    required: list[str] = []
    for key, (wanted, declared) in keys_of(kind).items():
        properties[key] = _of(wanted)
        if declared.default is MISSING and declared.default_factory is MISSING:
            required.append(key)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if kind.__doc__:
        schema["description"] = kind.__doc__
    if required:
        schema["required"] = required
    return schema


def _of(wanted: Any) -> Schema:
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return _marked(arguments[0], arguments[1])
    if origin in {Union, types.UnionType}:
        kinds = [_of(kind) for kind in arguments if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _of(arguments[0])}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(arguments[1])}
    return _table(wanted) if is_dataclass(wanted) else dict(_SCALARS[wanted])


def _marked(kind: Any, mark: object) -> Schema:
    if isinstance(mark, Tagged):
        return {"oneOf": [_tagged(mark, tag) for tag in mark.tables]}
    return dict(mark.schema) if isinstance(mark, Kind) else _of(kind)


def _tagged(mark: Tagged, tag: str) -> Schema:
    schema = _table(mark.tables[tag])
    schema["properties"] = {mark.key: {"const": tag}, **schema["properties"]}
    schema["required"] = [mark.key, *schema.get("required", [])]
    return schema
