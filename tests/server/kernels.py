"""A kernel of one language, started outside a sandbox, and its cells one by one."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from e2brun.sandbox.local.host.frames import CellReport, FrameReader, encode_cell

AGENT = Path(__file__).parents[2] / "e2brun" / "sandbox" / "local" / "agent"
BASH = (
    f"import sys; sys.path.insert(0, {str(AGENT.parent)!r}); "
    "from agent.kernels.bash import kernel; kernel.main()"
)
_DEADLINE = 20.0


@dataclass
class Cell:
    """What became of a cell."""

    stdout: str
    stderr: str
    outcome: CellReport

    @property
    def text(self) -> object:
        """Of its main result."""
        return next((r.get("text") for r in self.outcome.results if r["is_main_result"]), None)

    @property
    def error(self) -> tuple[str, str] | None:
        """Its name and value."""
        error = self.outcome.error
        return None if error is None else (error.name, error.value)


@dataclass
class RunningKernel:
    """Cells go in, what they print and their frames come out."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    def __enter__(self) -> Self:
        cells, self.cells = os.pipe()
        self.outlets: dict[str, int] = {}
        inlets: dict[str, int] = {}
        for name in ("stdout", "stderr", "frames"):
            self.outlets[name], inlets[name] = os.pipe()
        self.process = subprocess.Popen(
            [*self.argv, str(cells), str(inlets["frames"])],
            stdin=subprocess.DEVNULL,
            stdout=inlets["stdout"],
            stderr=inlets["stderr"],
            pass_fds=(cells, inlets["frames"]),
            cwd=self.cwd,
            env={**os.environ, **self.env},
            start_new_session=True,
        )
        for descriptor in (cells, *inlets.values()):
            os.close(descriptor)
        return self

    def run(
        self,
        code: str,
        env: Mapping[str, str] | None = None,
        *,
        language: str | None = None,
        interrupt_after: float | None = None,
    ) -> Cell:
        """Run one cell to its end, interrupting it after so many seconds, and as often."""
        body = encode_cell(code, env, language)
        os.write(self.cells, body)
        reader, outcome = FrameReader(), CellReport()
        printed = {"stdout": b"", "stderr": b""}
        started, next_interrupt = time.monotonic(), interrupt_after or 0
        while True:
            ready, _, _ = select.select(list(self.outlets.values()), [], [], 0.02)
            for name, descriptor in self.outlets.items():
                data = os.read(descriptor, 65536) if descriptor in ready else b""
                if name != "frames":
                    printed[name] += data
                    continue
                assert data or descriptor not in ready, "the kernel has gone"
                for frame in reader.feed(data):
                    outcome.add(frame)
            if not ready and outcome.ended:
                break
            waited = time.monotonic() - started
            assert waited < _DEADLINE, "the cell did not end"
            if interrupt_after is not None and waited > next_interrupt:
                next_interrupt += interrupt_after
                os.killpg(self.process.pid, signal.SIGINT)
        return Cell(printed["stdout"].decode(), printed["stderr"].decode(), outcome)

    def hang_up(self) -> int:
        """Close the cells' pipe: its exit code."""
        os.close(self.cells)
        self.cells = -1
        return self.process.wait(_DEADLINE)

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        for descriptor in (*self.outlets.values(), self.cells):
            if descriptor >= 0:
                os.close(descriptor)
