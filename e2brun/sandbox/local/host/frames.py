"""What the context inside says about a cell, read with trust in nothing.

The user's code can write to the same pipe, so every line may be forged. What is accepted is
bounded in bytes, in values and in depth; a forged frame can misreport only its own cell.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import assert_never

from e2brun.frozen import Frozen
from e2brun.sandbox.contract import JSON_RESULT_KEYS, MIB, TEXT_RESULT_KEYS, CodeError, Result
from e2brun.values import MAX_VALUES, is_list, is_table, values_in

MAX_FRAME = 33 * MIB
MAX_TOTAL = 80 * MIB  # our process has three times that, beside what the sandbox has
MAX_RESULTS = 1000
MAX_DEPTH = 64
MAX_NAME = 1024
MAX_VALUE = 1 * MIB
MAX_TRACEBACK = 4 * MIB

_SURROGATE = re.compile("[\ud800-\udfff]")


class ForgedFrames(ValueError):
    """No honest context says this; nothing it says of this cell can be relied on."""


class CellStarted(Frozen):
    """The cell was taken."""

    execution_count: int


class ResultFrame(Frozen):
    """The cell showed something."""

    result: Result


class ErrorFrame(Frozen):
    """The cell raised."""

    name: str
    value: str
    traceback: str


class CellEnd(Frozen):
    """The cell is over; no frame follows."""


Frame = CellStarted | ResultFrame | ErrorFrame | CellEnd


def encode_cell(
    code: str,
    env: Mapping[str, str] | None = None,
    language: str | None = None,
    paths: Sequence[str] = (),
) -> bytes:
    """What the context reads: a 4-byte big-endian length and a JSON object in ASCII. `language`
    is for kernels that know more than one; from `paths`, too, a Python may import from now on."""
    cell: dict[str, object] = {"code": code, "env": None if env is None else dict(env)}
    if language is not None:
        cell["language"] = language
    if paths:
        cell["paths"] = list(paths)
    body = json.dumps(cell, separators=(",", ":")).encode("ascii")
    return len(body).to_bytes(4, "big") + body


class FrameReader:
    """Bytes of one cell to frames: started first, error at most once, end last."""

    def __init__(self, max_frame: int = MAX_FRAME, max_total: int = MAX_TOTAL) -> None:
        self._max_frame = max_frame
        self._max_total = max_total
        self._line = bytearray()
        self._bytes = self._held = self._values = self._results = 0
        self._started = self._failed = self.ended = False

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`. Raises ForgedFrames, and then on every later call."""
        try:
            return self._frames(data)
        except ForgedFrames:
            self._max_total = -1  # whatever follows is over the limit
            self._line.clear()
            raise

    def _frames(self, data: bytes) -> list[Frame]:
        self._bytes += len(data)
        if self._bytes > self._max_total:
            raise ForgedFrames("the cell's frames are too large, or were refused before")
        frames: list[Frame] = []
        *complete, rest = data.split(b"\n")
        for piece in complete:
            self._extend(piece)
            line = bytes(self._line)
            self._line.clear()
            frames.append(self._in_order(self._frame(line)))
        self._extend(rest)
        return frames

    def _extend(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > self._max_frame:
            raise ForgedFrames(f"a frame of more than {self._max_frame} bytes")
        if self.ended and piece:
            raise ForgedFrames("bytes after the end frame")
        self._line += piece

    def _in_order(self, frame: Frame) -> Frame:
        if self.ended or isinstance(frame, CellStarted) == self._started:
            raise ForgedFrames(f"a frame out of order: {type(frame).__name__}")
        match frame:
            case CellStarted():
                self._started = True
            case ResultFrame():
                self._results += 1
                if self._results > MAX_RESULTS:
                    raise ForgedFrames(f"more than {MAX_RESULTS} results")
            case ErrorFrame():
                if self._failed:
                    raise ForgedFrames("a second error")
                self._failed = True
            case CellEnd():
                self.ended = True
            case _:
                assert_never(frame)
        return frame

    def _frame(self, line: bytes) -> Frame:
        raw = self._object(line)
        match raw.get("type"):
            case "started":
                return CellStarted(_whole(raw, "execution_count"))
            case "result":
                return ResultFrame(self._result(raw))
            case "error":
                return ErrorFrame(
                    _text(raw, "name", MAX_NAME),
                    _text(raw, "value", MAX_VALUE),
                    _text(raw, "traceback", MAX_TRACEBACK),
                )
            case "end":
                return CellEnd()
            case _:
                raise ForgedFrames("a frame of unknown type")

    def _object(self, line: bytes) -> dict[str, object]:
        self._values += values_in(line, few=64)  # before they are parsed
        if self._values > MAX_VALUES:
            raise ForgedFrames(f"more than {MAX_VALUES} values")
        try:
            raw: object = json.loads(
                line.decode("utf-8"), parse_constant=_finite, parse_float=_finite
            )
        except ForgedFrames:
            raise
        except (ValueError, RecursionError) as error:
            raise ForgedFrames(f"a frame that is not JSON: {type(error).__name__}") from None
        if not is_table(raw):
            raise ForgedFrames("a frame that is not an object")
        return raw

    def _result(self, raw: Mapping[str, object]) -> Result:
        result: Result = {"extra": {}, "is_main_result": False}
        for key, value in raw.items():
            if key in TEXT_RESULT_KEYS:
                result[key] = self._hold(_text(raw, key, self._max_frame))
            elif key in JSON_RESULT_KEYS:
                result[key] = self._checked(value, 0)
                if key != "json" and not isinstance(result[key], dict):
                    raise ForgedFrames(f"a result whose {key} is not an object")
            elif key == "is_main_result":
                if not isinstance(value, bool):
                    raise ForgedFrames("a result whose is_main_result is not a boolean")
                result[key] = value
        return result

    def _checked(self, value: object, depth: int) -> object:
        if depth > MAX_DEPTH:
            raise ForgedFrames(f"a value nested deeper than {MAX_DEPTH}")
        if isinstance(value, str):
            return self._hold(_scrubbed(value))
        if is_list(value):
            return [self._checked(item, depth + 1) for item in value]
        if is_table(value):
            return {
                self._hold(_scrubbed(key)): self._checked(item, depth + 1)
                for key, item in value.items()
            }
        return value

    def _hold(self, text: str) -> str:
        # One emoji makes every character of its string four bytes: count what we really keep.
        self._held += sys.getsizeof(text)
        if self._held > self._max_total:
            raise ForgedFrames("the cell's results are too large")
        return text


class CellReport:
    """What a context says of one cell, frame by frame."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.error: CodeError | None = None
        self.execution_count: int | None = None
        self.ended = False

    def add(self, frame: Frame) -> None:
        match frame:
            case CellStarted():
                self.execution_count = frame.execution_count
            case ResultFrame():
                self.results.append(frame.result)
            case ErrorFrame():
                self.error = CodeError(frame.name, frame.value, frame.traceback)
            case CellEnd():
                self.ended = True
            case _:
                assert_never(frame)


def _text(raw: Mapping[str, object], key: str, limit: int) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or len(value) > limit:
        raise ForgedFrames(f"a frame whose {key} is missing, too long or not a string")
    return _scrubbed(value)


def _scrubbed(text: str) -> str:
    """Half a surrogate pair cannot be printed, written or sent: the replacement character."""
    return text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _whole(raw: Mapping[str, object], key: str) -> int:
    value = raw.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        raise ForgedFrames(f"a frame whose {key} is missing or not a whole number")
    return value


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ForgedFrames("a number that is not finite")
    return number
