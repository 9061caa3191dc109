"""What goes into an execution and what comes out of it: `CodeInput`, `CodeOutput`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Required, TypedDict

from e2brun.errors import UsageError
from e2brun.primitives.transcript import Transcript
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Result, Upload, absolute
from e2brun.values import is_mapping, is_sequence, nearest

_KEYS = ("code", "timeout", "files", "install")


class CodeInput(TypedDict, total=False):
    """Code to run, and what it needs. `timeout` is in seconds; `install` takes PEP 508."""

    code: Required[str]
    timeout: float
    files: Mapping[str, str | bytes]
    install: list[str]


class Truncated(TypedDict):
    """Bytes of each stream beyond the limit, which were dropped."""

    stdout: int
    stderr: int


class CodeOutput(TypedDict):
    """How code ended. All of it can be written as JSON.

    `logs` are the lines of both streams in the order in which they began. `error` is the
    traceback, or one line where there is none; None means success. `results` is the value of
    the last expression (or the last thing displayed) by form: text, html, png...; `displayed`
    are all rich results. `execution_time` is in seconds. `outcome` and `exit_code` are those of
    the command line.
    """

    success: bool
    logs: list[str]
    error: str | None
    results: dict[str, object]
    execution_time: float
    sandbox_id: str
    outcome: str
    exit_code: int | None
    stdout: str
    stderr: str
    displayed: list[dict[str, object]]
    truncated: Truncated


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """A `CodeInput` that was read and checked."""

    code: str
    timeout: float
    files: tuple[Upload, ...]
    install: tuple[str, ...]
    notices: tuple[str, ...] = ()  # keys that nobody reads and that look like ours


def read_input(data: object, *, timeout: float, directory: str) -> CodeRequest:
    """Check what was given. Raises UsageError for a value that cannot be.

    A relative path is one in `directory`. Keys of other steps are passed over.
    """
    if not is_mapping(data):
        raise UsageError(
            f"the input of an execution is a dict with the key 'code', not {_kind(data)}"
        )
    code = data.get("code")
    if not isinstance(code, str):
        raise UsageError(f"input: code is text, not {_kind(code)}" if code else "input has no code")
    _encoded(code, "code")
    return CodeRequest(
        code,
        seconds(data.get("timeout", timeout)),
        tuple(_upload(path, content, directory) for path, content in _files(data.get("files"))),
        tuple(_requirements(data.get("install"))),
        tuple(_mistyped(data)),
    )


def _mistyped(given: Mapping[str, object]) -> Iterator[str]:
    """What was probably meant to be one of our keys, unless that is there as well."""
    for key in given:
        if key not in _KEYS and (meant := nearest(str(key), _KEYS)) and meant not in given:
            yield f"input has a key {key!r}, which nobody reads; did you mean {meant!r}?"


def seconds(value: object) -> float:
    """A time limit. Raises UsageError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        limit = float(value)
        if math.isfinite(limit) and limit > 0:
            return limit
    raise UsageError(f"input: timeout is a number of seconds above 0, not {value!r}")


def output_of(execution: Execution, transcript: Transcript, sandbox_id: str) -> CodeOutput:
    return CodeOutput(
        success=execution.outcome is Outcome.OK,
        logs=transcript.logs.lines(),
        error=_error(execution.error, execution),
        results=_main(execution.results),
        execution_time=execution.execution_time,
        sandbox_id=sandbox_id,
        outcome=execution.outcome.value,
        exit_code=execution.exit_code,
        stdout=transcript.out.text(),
        stderr=transcript.err.text(),
        displayed=[dict(result) for result in execution.results],
        truncated=Truncated(stdout=transcript.out.dropped, stderr=transcript.err.dropped),
    )


def _error(error: CodeError | None, execution: Execution) -> str | None:
    if execution.outcome is Outcome.OK:
        return None
    if error is None:
        return execution.detail or execution.outcome.value
    line = f"{error.name}: {error.value}" if error.value else error.name
    return error.traceback.rstrip() or line


def _main(results: tuple[Result, ...]) -> dict[str, object]:
    main = [result for result in results if result.get("is_main_result")] or [*results]
    chosen = main[-1] if main else {}
    return {key: value for key, value in chosen.items() if key != "is_main_result"}


def _files(files: object) -> Iterable[tuple[object, object]]:
    if files is None:
        return ()
    if not is_mapping(files):
        raise UsageError(f"input: files maps paths to contents; this is {_kind(files)}")
    return files.items()


def _upload(path: object, content: object, directory: str) -> Upload:
    if not isinstance(path, str) or not path or "\0" in path:
        raise UsageError(f"input: {path!r} is no path for a file in the sandbox")
    match content:
        case str():
            return Upload(absolute(path, directory), _encoded(content, f"files[{path!r}]"))
        case bytes() | bytearray():
            return Upload(absolute(path, directory), bytes(content))
        case _:
            raise UsageError(f"input: files[{path!r}] is text or bytes, not {_kind(content)}")


def _encoded(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"input: {where} has half a character, which UTF-8 cannot say") from None


def _requirements(install: object) -> list[str]:
    if install is None:
        return []
    if not is_sequence(install):
        raise UsageError(f"input: install is a list of requirements, not {_kind(install)}")
    found: list[str] = []
    for text in install:
        if not isinstance(text, str):
            raise UsageError(f"input: {text!r} in install is not a requirement")
        from e2brun.sandbox.requirement import parse_requirement

        parse_requirement(text, "input: install")
        found.append(text)
    return found


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__
