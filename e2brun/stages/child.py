"""A program on this machine with bounds: time, output, memory; its whole group ends with it. For
tools and generators that the pipeline's author chose, never for a candidate."""

from __future__ import annotations

import os
import resource
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO

import e2brun
from e2brun.errors import UsageError
from e2brun.sandbox.process_group import GRACE, end_group
from e2brun.sandbox.threads import in_thread

_MIB = 1024 * 1024
_LINGER = 0.5  # for output of a program that is gone; what it left behind may hold the pipes
TOOL_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What it may use; seconds and bytes. `output` is of each stream."""

    timeout: float
    output: int = 16 * _MIB
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. `code` is negative for a signal, as subprocess has it."""

    code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    too_much: bool = False  # it was ended because it wrote more than it may


def python_main(module: str) -> tuple[str, ...]:
    """The command for `main` of one of our modules, in a Python of its own."""
    start = f"import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; main()"
    return (sys.executable, "-I", "-c", start, str(Path(e2brun.__file__).parents[1]))


async def run_child(
    argv: Sequence[str],
    stdin: bytes,
    bounds: Bounds,
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = TOOL_ENVIRONMENT,
) -> Ended:
    """Run it to its end; cancellation ends it. `environment`: None is ours. Raises UsageError when
    it cannot be started."""
    child = _Child(argv, stdin, bounds, directory, environment)
    return await in_thread(child.run, stop=child.stop, grace=GRACE + 1)


class _Child:
    def __init__(
        self,
        argv: Sequence[str],
        stdin: bytes,
        bounds: Bounds,
        directory: Path | None,
        environment: Mapping[str, str] | None,
    ) -> None:
        self._argv, self._stdin, self._bounds = list(argv), stdin, bounds
        self._directory, self._environment = directory, environment
        self._end = monotonic() + bounds.timeout
        self._stopped = False

    def stop(self) -> None:
        """From any thread: let it end."""
        self._stopped = True

    def run(self) -> Ended:
        import tempfile

        with tempfile.TemporaryFile() as given:
            given.write(self._stdin)
            given.seek(0)
            process = self._start(given)
        kept = {"stdout": bytearray(), "stderr": bytearray()}
        try:
            timed_out, too_much = self._watch(process, kept)
        finally:
            end_group(process)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        out, err = bytes(kept["stdout"]), bytes(kept["stderr"])
        return Ended(process.returncode, out, err, timed_out, too_much)

    def _start(self, given: IO[bytes]) -> subprocess.Popen[bytes]:
        try:
            process = subprocess.Popen(
                self._argv,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._directory,
                env=self._environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UsageError(f"{self._argv[0]}: it cannot be started: {reason}") from error
        if self._bounds.memory is not None:
            limit = (self._bounds.memory, self._bounds.memory)
            with suppress(OSError):  # it is gone already
                resource.prlimit(process.pid, resource.RLIMIT_AS, limit)
        return process

    def _watch(
        self, process: subprocess.Popen[bytes], kept: dict[str, bytearray]
    ) -> tuple[bool, bool]:
        """Until it ends: (it took too long, it wrote too much)."""
        timed_out = too_much = False
        with selectors.DefaultSelector() as selector:
            for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, name)
            gone: float | None = None
            while selector.get_map() or process.poll() is None:
                now = monotonic()
                timed_out = now >= self._end
                if process.poll() is not None:
                    gone = gone or now
                if timed_out or self._stopped or (gone and now - gone > _LINGER):
                    break
                too_much = self._read(selector, kept)
                if too_much:
                    break
        return timed_out and process.poll() is None, too_much

    def _read(self, selector: selectors.BaseSelector, kept: dict[str, bytearray]) -> bool:
        """Take what is there, waiting a little; True: it is more than allowed."""
        for key, _ in selector.select(0.05):
            data = os.read(key.fd, 65536)
            if not data:
                selector.unregister(key.fileobj)
            stream = kept[str(key.data)]
            stream += data
            if len(stream) > self._bounds.output:
                return True
        return False
