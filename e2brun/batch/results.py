"""The file of results: a JSON object a line, each written as its case ends.

Whoever kills us, the lines that were written stay; a last line that was torn is taken away when
the run goes on. One run at a time writes a file.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from e2brun.errors import E2brunError, UsageError
from e2brun.runs.record import CaseRecord, ExecutionRecord, Verdict
from e2brun.values import is_table

Line = Mapping[str, object]
_STDOUT = 1
_BEGINNING = b'{"id": "'  # of every line


class ResultsUnwritable(E2brunError):
    """A result could not be written; those before it are whole."""


class Results:
    """Appends to `path`; `-` is standard output. Raises UsageError: somebody else writes it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._size = 0
        if path == "-":
            self._file, self._regular = os.dup(_STDOUT), False
            return
        with UsageError.of_system(f"--out {path}"):
            self._file = self._locked()
        status = os.fstat(self._file)
        self._regular, self._size = stat.S_ISREG(status.st_mode), status.st_size

    @property
    def is_empty(self) -> bool:
        return self._size == 0

    def _locked(self) -> int:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            file = os.open(self._path, flags, 0o644)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file).st_ino == Path(self._path).stat().st_ino:
                    return file
            except BlockingIOError:
                os.close(file)
                raise UsageError(f"--out {self._path}: another run is writing it") from None
            except FileNotFoundError:
                pass
            os.close(file)  # another run has just put a new one in its place

    def foreign(self, runs: Collection[str]) -> int:
        """The number of the first line that none of these runs wrote; 0: there is none."""
        with Path(self._path).open("rb") as file:
            for number, line in enumerate(file, 1):
                read = _read(line) if line.endswith(b"\n") else None
                torn = not line.endswith(b"\n") and line.startswith(_BEGINNING[: len(line)])
                if not torn and (read is None or str(read.get("run_id")) not in runs):
                    return number
        return 0

    def recover(self, is_kept: Callable[[Line], bool]) -> None:
        """Take away what is no whole line, and the lines that are not kept. Raises
        ResultsUnwritable; the file then is as it was."""
        if not self._regular:
            return
        end, dropped = 0, False
        for offset, line in self._lines():
            end = offset
            dropped = dropped or line is None or not is_kept(line)
        try:
            if dropped:
                self._rewrite(is_kept)
            else:
                os.ftruncate(self._file, end)
                self._size = end
        except OSError as error:
            raise self._failed(error) from error

    def lines(self) -> Iterator[Line]:
        """Those that are whole."""
        return (line for _, line in self._lines() if line is not None)

    def write(self, line: Line) -> None:
        """Append one. Raises ResultsUnwritable; nothing of it is left in the file then."""
        data = json.dumps(line, ensure_ascii=True, allow_nan=False).encode() + b"\n"
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            if self._regular:
                with suppress(OSError):
                    os.ftruncate(self._file, self._size)
            raise self._failed(error) from error
        self._size += len(data)

    def close(self) -> None:
        os.close(self._file)

    def _lines(self) -> Iterator[tuple[int, Line | None]]:
        """Where each line ends, and what it says. A torn one at the end is none."""
        if not self._regular:
            return
        with Path(self._path).open("rb") as file:
            offset = 0
            for line in file:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                yield offset, _read(line)

    def _rewrite(self, is_kept: Callable[[Line], bool]) -> None:
        """A new file in the place of the old one: there is always a whole one of that name."""
        path = Path(self._path).resolve()
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        file = os.open(temporary, flags, os.fstat(self._file).st_mode & 0o777)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            with Path(self._path).open("rb") as old, os.fdopen(os.dup(file), "wb") as new:
                for line in old:
                    read = _read(line) if line.endswith(b"\n") else None
                    if read is not None and is_kept(read):
                        new.write(line)
            temporary.replace(path)
        except BaseException:
            os.close(file)
            with suppress(OSError):
                temporary.unlink()
            raise
        os.close(self._file)
        self._file, self._size = file, os.fstat(file).st_size

    def _failed(self, error: OSError) -> ResultsUnwritable:
        return ResultsUnwritable(f"--out {self._path}: {error.strerror or error}")


def _read(line: bytes) -> Line | None:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if is_table(value) else None


def line_of(case: CaseRecord, run_id: str, fingerprint: str) -> dict[str, object]:
    """What is told of a case. `passed` is what HumanEval's own results call it."""
    step = next(iter(case.bad_steps), None)
    execution = next((s.execution for s in case.steps[::-1] if s.execution is not None), None)
    task = case.parameters.get("task")
    return {
        "id": case.id,
        **({"task_id": task} if task else {}),
        "passed": case.verdict is Verdict.PASSED,
        "verdict": case.verdict.value,
        "result": f"{step.stage} {step.step}: {_text(step.message)}" if step else "passed",
        **_execution(execution),
        "seconds": round(case.seconds, 6),
        "started": round(case.started, 3),
        "run_id": run_id,
        "fingerprint": fingerprint,
    }


def _execution(execution: ExecutionRecord | None) -> Mapping[str, object]:
    if execution is None:
        return {"outcome": None, "exit_code": None, "completed": None}
    return {
        "outcome": execution.outcome,
        "exit_code": execution.exit_code,
        "completed": execution.completed,
        "stdout": _text(execution.stdout),
        "stderr": _text(execution.stderr),
        "truncated": dict(execution.truncated),
        "execution_time": round(execution.execution_time, 6),
        "peak_memory": execution.peak_memory,
        "sandbox_id": execution.sandbox_id,
        "backend": execution.backend,
    }


def _text(text: str) -> str:
    """Without halves of characters, which strict readers of JSON refuse."""
    return text.encode("utf-8", "replace").decode()
