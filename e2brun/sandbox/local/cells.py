"""The default Python context of an embedded sandbox: one interpreter that cells share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from signal import SIGINT, SIGKILL
from typing import TYPE_CHECKING

from e2brun.errors import SandboxLost
from e2brun.sandbox.contract import HOME, CodeError, Execution, Outcome, Result, Sink
from e2brun.sandbox.local.following import Following
from e2brun.sandbox.local.frames import CellOutcome, ForgedFrames, FrameReader, encode_cell
from e2brun.sandbox.local.jail import AGENT_DIRECTORY
from e2brun.sandbox.local.pipes import Inlet, Outlet, pipe

if TYPE_CHECKING:
    from e2brun.sandbox.local.sandbox import LocalSandbox

_CELLS_FD, _FRAMES_FD = 3, 4  # inside: what follows 0, 1 and 2
_LAST_WORDS_SECONDS = 5.0


def _nowhere(_: bytes) -> None:
    """Between cells nobody listens; what a thread prints then is lost."""


class Context:
    """A running context and its pipes. It ends with the sandbox, or when a cell kills it."""

    def __init__(self, sandbox: LocalSandbox) -> None:
        self._sandbox = sandbox
        self._stdout, self._stderr, self._frames = (Outlet(_nowhere) for _ in range(3))
        cells_read, self._cells = pipe()
        os.set_blocking(self._cells, False)
        null = Inlet(None)
        given = (null.read, self._stdout.write, self._stderr.write, cells_read, self._frames.write)
        self.number = sandbox.control.request(
            "run",
            given,
            argv=[
                sandbox.jail.interpreter.executable,
                f"{AGENT_DIRECTORY}/context.py",
                str(_CELLS_FD),
                str(_FRAMES_FD),
            ],
            cwd=HOME,
            env=sandbox.environment({}),
            cpu=0,
        )
        for descriptor in given:
            os.close(descriptor)
        self.alive = True

    def run(
        self,
        code: str,
        timeout: float | None,
        streams: tuple[Sink, Sink],
        on_result: Callable[[Result], None] | None,
    ) -> Execution:
        """Run one cell to its end."""
        reader, cell = FrameReader(), CellOutcome()

        def hear(data: bytes) -> None:
            for frame in reader.feed(data):
                known = len(cell.results)
                cell.add(frame)
                if on_result is not None and len(cell.results) > known:
                    on_result(cell.results[-1])

        self._stdout.redirect(streams[0])
        self._stderr.redirect(streams[1])
        self._frames.redirect(hear)
        outlets = [outlet for outlet in (self._stdout, self._stderr, self._frames) if outlet.open]
        following = Following(
            self._sandbox.control,
            self.number,
            outlets=outlets,
            inlet=Inlet(encode_cell(code), into=self._cells),
            end_sandbox=self._sandbox.end,
        )
        # Politely first: an interrupted context keeps its state for the next cell.
        following.finished = lambda: cell.ended
        following.soft_signal = int(SIGINT)
        try:
            execution = self._sandbox.follow(following, timeout)
        except ForgedFrames as error:
            return self._forged(error, cell, following)
        finally:
            self._stdout.redirect(_nowhere)
            self._stderr.redirect(_nowhere)
        if following.exited is not None or execution.outcome is Outcome.LOST:
            self.close()
        return _told(execution, cell, ended_by_us=following.verdict is not None)

    def close(self) -> None:
        """Close our ends; a context still there then leaves by itself."""
        if self.alive:
            self.alive = False
            os.close(self._cells)
            for outlet in (self._stdout, self._stderr, self._frames):
                outlet.close()

    def _forged(self, error: ForgedFrames, cell: CellOutcome, following: Following) -> Execution:
        """The code wrote to the result channel itself: nothing it says counts any more."""
        try:
            if following.exited is None:
                self._sandbox.control.request("signal", run=self.number, signal=int(SIGKILL))
                self._sandbox.control.wait_for(self.number, _LAST_WORDS_SECONDS)
        except SandboxLost:
            self._sandbox.end()
        self.close()
        raised = CodeError("ForgedResults", f"the code tampered with its results: {error}", "")
        return Execution(Outcome.ERROR, 1, error=raised, results=tuple(cell.results))


def _told(execution: Execution, cell: CellOutcome, *, ended_by_us: bool) -> Execution:
    """The end of the run, and what the cell said of itself, in that order of trust."""
    results = tuple(cell.results)
    if ended_by_us or not cell.ended:
        if execution.outcome is Outcome.OK:
            # os._exit(0) in the middle of a cell: it did not raise, but it did not end either.
            raised = CodeError("ContextExited", "the cell ended its interpreter", "")
            return replace(
                execution, outcome=Outcome.ERROR, exit_code=1, error=raised, results=results
            )
        return replace(execution, results=results)
    return replace(
        execution,
        outcome=cell.outcome or Outcome.ERROR,
        exit_code=cell.exit_code,
        signal=None,
        error=cell.error,
        results=results,
        detail="",
    )
