"""JSON Schema, by jsonschema (extra `validate`): it has no types, so nobody else touches it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from e2brun.errors import UsageError
from e2brun.primitives.extras import needs_extra


class _Problem(Protocol):
    message: str
    json_path: str
    absolute_path: Iterable[object]


class _Validator(Protocol):
    def iter_errors(self, instance: object) -> Iterator[_Problem]: ...


def _modules() -> tuple[Any, Any, Any]:
    with needs_extra("validate", "json.schema"):
        validators = importlib.import_module("jsonschema.validators")
        exceptions = importlib.import_module("jsonschema.exceptions")
        return validators, exceptions, importlib.import_module("referencing")


def check_schema(schema: Mapping[str, object]) -> None:
    """Raises UsageError when it is none, or the package is missing."""
    validators, exceptions, _ = _modules()
    try:
        validators.validator_for(schema).check_schema(schema)
    except exceptions.SchemaError as error:
        problem: _Problem = error
        place = "/".join(map(str, problem.absolute_path)) or "the top"
        raise UsageError(f"json: no valid schema: {problem.message} (at {place})") from None


def against_schema(document: object, schema: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(where, what) is wrong. Raises UsageError for a schema that refers to another."""
    validators, _, referencing = _modules()
    # An empty registry: nothing is fetched, whatever a schema refers to.
    registry = referencing.Registry()
    validator: _Validator = validators.validator_for(schema)(schema, registry=registry)
    try:
        for problem in validator.iter_errors(document):
            yield problem.json_path, problem.message
    except referencing.exceptions.Unresolvable as error:
        reason = str(error)
        raise UsageError(f"json: the schema refers to what is not in it: {reason}") from None
