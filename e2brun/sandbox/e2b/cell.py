"""One cell in the default context of a language in an E2B sandbox. What it sends back is believed
only as far as its type."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from e2brun.errors import SandboxLost
from e2brun.sandbox import endings
from e2brun.sandbox.cell_end import INTERPRETER_GONE, cell_execution, interpreter_gone
from e2brun.sandbox.contract import (
    JSON_RESULT_KEYS,
    MIB,
    TEXT_RESULT_KEYS,
    CodeError,
    Execution,
    Outcome,
    Result,
)
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.channel import Broken, pump
from e2brun.sandbox.e2b.run import SILENCE, Run, Stopped, attempted
from e2brun.values import is_table

LONGEST_LINE = 64 * MIB
MOST_RESULTS = 256 * MIB
HEALTH_SECONDS = 6.0
LONGEST_TRACEBACK = 1024 * 1024
LONGEST_NAME = 1000
# E2B's server reports these itself, without a traceback: it lost sight of its interpreter.
INTERPRETER_UNKNOWN = frozenset({"UnexpectedEndOfExecution", "WebSocketError"})


class CellLine(NamedTuple):
    """One line of a cell's answer; `size` in bytes."""

    fields: dict[str, object]
    size: int

    @property
    def is_last(self) -> bool:
        return self.fields.get("type") == "end_of_execution"


def cell_line(line: bytes) -> CellLine | None:
    """None for a line that is not of this protocol."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return CellLine(document, len(line)) if is_table(document) else None


def rich_result(fields: dict[str, object]) -> Result:
    """The cell's value, or something it displayed."""
    result: Result = {}
    for key, value in fields.items():
        text = key in TEXT_RESULT_KEYS and isinstance(value, str)
        if text or (key in JSON_RESULT_KEYS and value is not None):
            result[key] = value
    result["extra"] = result["extra"] if isinstance(result.get("extra"), dict) else {}
    result["is_main_result"] = fields.get("is_main_result") is True
    return result


def raised(fields: dict[str, object]) -> CodeError:
    """What ended the cell."""

    def text(key: str, limit: int) -> str:
        value = fields.get(key)
        return value[:limit] if isinstance(value, str) else ""

    return CodeError(
        text("name", LONGEST_NAME) or "Error",
        text("value", LONGEST_TRACEBACK),
        text("traceback", LONGEST_TRACEBACK),
    )


Event = CellLine | Broken | Stopped


@dataclass
class CellRun(Run):
    """Runs one cell."""

    code: str
    where: Mapping[str, str | None]  # "context_id" or "language"
    on_result: Callable[[Result], None]
    _accepted: bool = False
    _error: CodeError | None = None
    _results: list[Result] = field(default_factory=list[Result])
    _size: int = 0
    _dropped: int = 0

    def run(self) -> Execution:
        """Raises SandboxError when the cell could not be started."""
        self._start = time.monotonic()
        pump(self._said, self._events, "cell", _is_last)
        try:
            while True:
                result = self._obey(self._next())
                if result is not None:
                    return result
        finally:
            self._events.close()

    def _said(self) -> Iterator[CellLine | Broken]:
        # The SDK's deadline drops the connection, upon which the server interrupts the cell.
        deadline = None if self.timeout is None else self.timeout + 0.05
        for line in _lines(sdk.run_cell(self.native, self.code, self.where, deadline)):
            yield cell_line(line) or Broken(SandboxLost(_GIBBERISH))

    def _next(self) -> Event | None:
        left = SILENCE if self.timeout is None else self.timeout - self._elapsed()
        event: Event | None = self._events.take(max(0.0, min(SILENCE, left)))
        return event

    def _obey(self, event: Event | None) -> Execution | None:
        if self._is_over_time() and not _is_last(event):
            return self._timed_out()
        match event:
            case None:
                return self._finish(Outcome.LOST, f"no sign of life for {SILENCE:.0f} s")
            case Broken(error):
                return self._broken(error)
            case Stopped():
                return self._finish(Outcome.KILLED, endings.KILLED)
            case CellLine(fields, size):
                if event.is_last:
                    return self._over()
                self._hear(fields, size)
                return None

    def _hear(self, fields: dict[str, object], size: int) -> None:
        match fields:
            case {"type": "stdout", "text": str(text)}:
                self.stdout.write(text.encode(errors="replace"))
            case {"type": "stderr", "text": str(text)}:
                self.stderr.write(text.encode(errors="replace"))
            case {"type": "result"}:
                self._take_result(fields, size)
            case {"type": "error"}:
                self._error = self._error or raised(fields)
            case {"type": "number_of_executions"}:
                self._accepted = True
            case _:  # nothing that we know: a sign of life
                pass

    def _take_result(self, fields: dict[str, object], size: int) -> None:
        self._size += size
        if self._size > MOST_RESULTS:
            self._dropped += 1
            return
        result = rich_result(fields)
        self._results.append(result)
        self.on_result(result)

    def _broken(self, error: BaseException | None) -> Execution:
        if error is not None:
            return self._lost(error, begun=self._accepted)
        # A clean end of the answer is how E2B's server ends a cell: its own end event does not
        # reach the client. A proxy that lost the sandbox may end it so too, hence the question.
        if self._accepted or self._error:
            is_there: bool | None = attempted(
                lambda: sdk.is_running(self.native), deadline=HEALTH_SECONDS, name="health"
            )
            if is_there:
                return self._over()
        return self._finish(Outcome.LOST, "the sandbox ended the stream before the cell ended")

    def _over(self) -> Execution:
        error, results, elapsed = self._error, tuple(self._results), self._elapsed()
        if error is not None and not error.traceback:
            if error.name == INTERPRETER_GONE:
                return interpreter_gone(results, elapsed)
            if error.name in INTERPRETER_UNKNOWN:
                return self._finish(Outcome.INFRASTRUCTURE, error.value).but(error=error)
        note = f"{self._dropped} results were too large to keep" if self._dropped else ""
        return cell_execution(error, results, elapsed, note)

    def _finish(self, outcome: Outcome, detail: str) -> Execution:
        return super()._finish(outcome, detail).but(results=tuple(self._results))


def _is_last(event: object) -> bool:
    return isinstance(event, CellLine) and event.is_last


_GIBBERISH = "the sandbox sent something that is not a cell's output"


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) > LONGEST_LINE:
            raise SandboxLost(_GIBBERISH)
        *whole, rest = held.split(b"\n")
        yield from (bytes(line) for line in whole if line.strip())
        held = bytearray(rest)
    if held.strip():
        yield bytes(held)
