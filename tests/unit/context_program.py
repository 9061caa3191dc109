"""The context program in a real process with real pipes, and no sandbox around it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import e2brun.sandbox.local.host.frames as frames_module
from e2brun.sandbox.contract import CodeError, Result
from e2brun.sandbox.local.host.frames import CellReport, ForgedFrames, FrameReader, encode_cell

AGENT = Path(frames_module.__file__).parents[1] / "agent"
# What a context does once it is forked (agent/kernels/contexts.py), in a process of its own.
CONTEXT = """
import os, sys
agent, cells, frames = sys.argv[1:]
sys.path.insert(0, os.path.dirname(agent))
from agent.kernels import contexts
from agent.kernels.python import notebook
serve = notebook.server()
contexts.forget_ourselves()
del contexts, notebook
sys.argv[:] = [""]
serve(int(cells), int(frames))
"""
DEADLINE = 90.0  # no test waits this long unless it fails


@dataclass
class Cell:
    """What came of one cell."""

    outcome: CellReport
    stdout: str = ""
    stderr: str = ""
    died: bool = False
    forged: str = ""

    def take(self, reader: FrameReader, data: bytes) -> None:
        self.died = not data
        try:
            for frame in reader.feed(data):
                self.outcome.add(frame)
        except ForgedFrames as error:
            self.forged = str(error)

    @property
    def error(self) -> CodeError:
        assert self.outcome.error is not None, (self.stdout, self.stderr, self.outcome)
        return self.outcome.error

    @property
    def fine(self) -> bool:
        return self.outcome.ended and self.outcome.error is None

    @property
    def main(self) -> Result:
        (main,) = [r for r in self.outcome.results if r["is_main_result"]]
        return main

    @property
    def shown(self) -> list[Result]:
        return [r for r in self.outcome.results if not r["is_main_result"]]


def _what_is_left(fd: int, wait: float) -> bytes:
    left = b""
    while select.select([fd], [], [], wait)[0] and (data := os.read(fd, 1 << 20)):
        left += data
    return left


@dataclass
class Context:
    """The context program, with somebody reading all of its pipes."""

    cwd: Path
    interpreter: str = sys.executable
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        cells_read, self.cells = os.pipe()
        self.frames, frames_write = os.pipe()
        self.process = subprocess.Popen(
            [
                self.interpreter,
                "-u",  # as `contexts` places the streams
                *self.arguments,
                "-c",
                CONTEXT,
                str(AGENT),
                str(cells_read),
                str(frames_write),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(cells_read, frames_write),
            cwd=self.cwd,
            # Off, or a developer's shell that has it set would change what is tested.
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        )
        os.close(cells_read)
        os.close(frames_write)

    def run(
        self,
        code: str,
        env: dict[str, str] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Cell:
        """One cell, to its end frame or to the end of the program."""
        os.write(self.cells, encode_cell(code, env))
        if meanwhile is not None:
            threading.Thread(target=meanwhile, daemon=True).start()
        return self._collect()

    def _collect(self) -> Cell:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.fileno(), self.process.stderr.fileno()
        output: dict[int, bytearray] = {out: bytearray(), err: bytearray()}
        reader, cell = FrameReader(), Cell(CellReport())
        deadline = time.monotonic() + DEADLINE
        while not (cell.outcome.ended or cell.died or cell.forged):
            assert time.monotonic() < deadline, output
            for fd in select.select([out, err, self.frames], [], [], 1)[0]:
                data = os.read(fd, 1 << 20)
                if fd == self.frames:
                    cell.take(reader, data)
                else:
                    output[fd] += data
        for fd, buffer in output.items():
            output[fd] = buffer + _what_is_left(fd, wait=0.05 if cell.died else 0)
        cell.stdout, cell.stderr = output[out].decode(), output[err].decode()
        return cell

    def leave(self) -> tuple[int, str, str]:
        """Hang up; exit code and what was still said."""
        os.close(self.cells)
        self.cells = -1
        out, err = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, out.decode(), err.decode()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        for fd in (self.cells, self.frames):
            if fd >= 0:
                os.close(fd)


@pytest.fixture(name="context")
def running_context(tmp_path: Path) -> Iterator[Context]:
    with closing(Context(tmp_path)) as context:
        yield context


@pytest.fixture(name="lasting", scope="module")
def lasting_context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """One for all tests of a file that do not mind each other's variables."""
    with closing(Context(tmp_path_factory.mktemp("context"))) as context:
        yield context
