"""A file of JSON objects, one a line, read one at a time: plain, gzipped, or standard input."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from e2brun.errors import UsageError
from e2brun.values import MAX_VALUES, is_table, values_in

LONGEST = 64 * 1024 * 1024  # bytes of one line
_GZIP = b"\x1f\x8b"
_ARRAY = "an array, not a JSON object a line; jq -c '.[]' makes lines of it"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Record = Mapping[str, object]
Complain = Callable[["BadLine"], None]


class BadLine(UsageError):
    """A line that is no case; `str()` names the file, the line and what is wrong with it."""

    hint = "--skip-bad goes on without such lines, and counts them."

    def __init__(self, file: str, line: int, why: str) -> None:
        super().__init__(f"{file}:{line}: {why}")


class Lines:
    """The objects in `file`, as often as they are asked for. `-` is standard input, which is
    kept in a file without a name, as is a pipe that has one. Opening raises UsageError."""

    def __init__(self, file: str) -> None:
        self.is_standard_input = file == "-"
        self.file = "standard input" if self.is_standard_input else file
        self._kept: IO[bytes] | None = None
        with UsageError.of_system(self.file):
            if self.is_standard_input:
                self._keep(sys.stdin.buffer)
            elif os.path.isdir(file):
                raise UsageError(f"{file} is a directory, and no file of JSON lines")
            elif not Path(file).is_file():  # <(command), a named pipe: it comes once
                with Path(file).open("rb") as stream:
                    self._keep(stream)
        with self._opened():
            pass

    def _keep(self, stream: IO[bytes]) -> None:
        self._kept = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as we are
        shutil.copyfileobj(stream, self._kept)

    def read(self, complain: Complain) -> Iterator[tuple[int, bytes, Record | None]]:
        """Number, bytes and object of every line that is not blank; of one that holds no object,
        `complain` is told and the object is None."""
        with self._opened() as stream:
            number = 0
            while line := stream.readline(LONGEST + 1):
                number += 1
                if number == 1:
                    line = line.removeprefix(_BYTE_ORDER_MARK)
                if not line.strip():
                    continue
                try:
                    yield number, line, self._object(number, line)
                except BadLine as error:
                    complain(error)
                    yield number, line, None
                while len(line) > LONGEST and not line.endswith(b"\n"):
                    line = stream.readline(LONGEST + 1)

    def _object(self, number: int, line: bytes) -> Record:
        if len(line) > LONGEST:
            raise BadLine(self.file, number, f"a line of more than {LONGEST >> 20} MiB")
        if values_in(line, MAX_VALUES) > MAX_VALUES:
            raise BadLine(self.file, number, f"more than {MAX_VALUES} values")
        if line.lstrip().startswith(b"["):
            raise BadLine(self.file, number, _ARRAY)
        try:
            value: object = json.loads(line.rstrip())
        except UnicodeDecodeError:
            raise BadLine(self.file, number, "not UTF-8") from None
        except RecursionError:
            raise BadLine(self.file, number, "JSON that is nested too deeply") from None
        except ValueError as error:
            raise BadLine(self.file, number, f"not JSON: {_why(error)}") from None
        if not is_table(value):
            raise BadLine(self.file, number, "not a JSON object")
        return value

    @contextmanager
    def _opened(self) -> Generator[IO[bytes], None, None]:
        try:
            if self._kept is not None:
                self._kept.seek(0)
                yield self._unpacked(self._kept)
            else:
                with Path(self.file).open("rb") as stream:
                    yield self._unpacked(stream)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UsageError(f"{self.file}: a broken gzip file: {error}") from error
        except OSError as error:
            raise UsageError(f"{self.file}: {error.strerror or error}") from error

    @staticmethod
    def _unpacked(stream: IO[bytes]) -> IO[bytes]:
        """Recognised by its first bytes, not by its name."""
        first = stream.read(2)
        stream.seek(0)
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream)) if first == _GZIP else stream


def _why(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.removesuffix(' at')} at column {error.colno}"
    return "a number that is too long"
