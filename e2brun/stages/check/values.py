"""JSON values compared, read by path and checked against a schema (extra `validate`).

`problems` runs in this process for small documents and plain questions, else in one of its own:
patterns and unique items can take long on a document made for it.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from e2brun.errors import E2brunError, UsageError
from e2brun.primitives.extras import needs_extra
from e2brun.stages.check.difference import shown
from e2brun.stages.child import Bounds, python_main, run_child
from e2brun.values import is_mapping, is_sequence, refuse_constant

_SECONDS = 10.0
_SMALL = 64 * 1024
_MOST = 20
_WILD = ('"pattern', '"unique', '"format', "match", "search", "=~", "$ref", "dynamicRef")


def same(one: object, other: object) -> bool:
    """Equal as JSON values: 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if is_mapping(one) and is_mapping(other):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if is_sequence(one) and is_sequence(other):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def check_questions(schema: Mapping[str, object] | None, paths: Mapping[str, object]) -> None:
    """Raises UsageError: a schema or a path is none, or the packages are missing."""
    if schema is not None and "{{" not in json.dumps(schema, default=str):
        _check_schema(schema)
    for path in paths:
        if "{{" not in path:
            _compiled(path)


def _modules() -> tuple[Any, Any, Any]:
    with needs_extra("validate", "json.schema"):
        validators = importlib.import_module("jsonschema.validators")
        exceptions = importlib.import_module("jsonschema.exceptions")
        return validators, exceptions, importlib.import_module("referencing")


def _check_schema(schema: Mapping[str, object]) -> None:
    """Raises UsageError when it is none, or the package is missing."""
    validators, exceptions, _ = _modules()
    try:
        validators.validator_for(schema).check_schema(schema)
    except exceptions.SchemaError as error:
        place = "/".join(map(str, error.absolute_path)) or "the top"
        raise UsageError(f"json: no valid schema: {error.message} (at {place})") from None


def _compiled(path: str) -> Any:
    with needs_extra("validate", "a JSONPath"):
        import jsonpath
    try:
        return jsonpath.compile(path)
    except jsonpath.JSONPathError as error:
        reason = str(error).split("\n")[0]
        raise UsageError(f"json: {path!r} is no JSONPath: {reason}") from None


async def problems(
    text: str,
    schema: Mapping[str, object] | None,
    paths: Mapping[str, object],
    seconds: float = _SECONDS,
) -> list[str]:
    """What is wrong with a document, one line each."""
    questions = json.dumps([schema, dict(paths)], default=str)
    wild = any(word in questions for word in _WILD) or questions.count("..") > 1
    if len(text) <= _SMALL and not wild:
        return find_problems(text, schema, paths)
    check_questions(schema, paths)
    job = json.dumps([text, schema, dict(paths)]).encode()
    ended = await run_child(python_main(__name__), job, Bounds(seconds))
    if ended.timed_out:
        return [f"checking it took longer than {seconds:g} s"]
    try:
        return [str(line) for line in json.loads(ended.stdout)]
    except ValueError:
        said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        raise E2brunError(f"json: {said[-1] if said else 'the checker died'}") from None


def find_problems(
    text: str, schema: Mapping[str, object] | None, paths: Mapping[str, object]
) -> list[str]:
    """The same, here and now."""
    try:
        document: object = json.loads(text, parse_constant=refuse_constant)
        return [*_against_schema(document, schema), *_at_paths(document, paths)][:_MOST]
    except RecursionError:
        return ["it is nested too deeply"]
    except OverflowError as error:  # a number that is too large to be divided
        return [f"it cannot be checked: {error}"]
    except ValueError as error:
        return [f"it is not JSON: {error}"]


def _against_schema(document: object, schema: Mapping[str, object] | None) -> Iterator[str]:
    """Raises UsageError for a schema that refers to another."""
    if schema is None:
        return
    validators, _, referencing = _modules()
    # An empty registry: nothing is fetched, whatever a schema refers to.
    registry = referencing.Registry()
    validator = validators.validator_for(schema)(schema, registry=registry)
    try:
        for problem in islice(validator.iter_errors(document), _MOST):
            yield f"{problem.json_path}: {_short(problem.message)}"
    except referencing.exceptions.Unresolvable as error:
        reason = str(error)
        raise UsageError(f"json: the schema refers to what is not in it: {reason}") from None


def _short(message: str) -> str:
    line = " ".join(message[:2000].split())
    return line if len(line) <= 300 else f"{line[:200]} ... {line[-90:]}"


def _at_paths(document: object, paths: Mapping[str, object]) -> list[str]:
    found: list[str] = []
    for path, expected in paths.items():
        values: list[object] = _compiled(path).findall(document)
        if not values:
            found.append(f"{path}: expected {shown(expected)}, there is nothing")
        elif not (len(values) == 1 and same(values[0], expected)) and not same(values, expected):
            got = values[0] if len(values) == 1 else values[:_MOST]
            found.append(f"{path}: expected {shown(expected)}, got {shown(got)}")
    return found


def main() -> None:
    """Read a job from stdin; the problems, as JSON, on stdout."""
    from e2brun.stages.validate.compiling import limit_this_process

    limit_this_process()
    text, schema, paths = json.load(sys.stdin)
    sys.stdout.write(json.dumps(find_problems(text, schema, paths)))
