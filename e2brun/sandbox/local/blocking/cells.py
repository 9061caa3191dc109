"""The default context of a language in an embedded sandbox: one interpreter that cells share."""

from __future__ import annotations

import os
from collections.abc import Callable
from signal import SIGINT, SIGKILL
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.errors import FileTransferFailed, SandboxError, SandboxLost, Unsupported
from e2brun.sandbox import endings
from e2brun.sandbox.cell_end import cell_execution, interpreter_gone, tampered
from e2brun.sandbox.contract import Execution, Outcome, Result, Sink
from e2brun.sandbox.local.host import languages
from e2brun.sandbox.local.host.frames import (
    CellReport,
    CellStarted,
    ForgedFrames,
    FrameReader,
    ResultFrame,
    encode_cell,
)
from e2brun.sandbox.local.host.java import JavaMissing
from e2brun.sandbox.local.host.languages import Language
from e2brun.sandbox.local.host.streams import Inlet, Outlet, pipe

if TYPE_CHECKING:
    from e2brun.sandbox.local.blocking.sandbox import LocalSandbox
    from e2brun.sandbox.local.blocking.supervisor import Supervisor
    from e2brun.sandbox.local.host.control import Control
    from e2brun.sandbox.local.isolation.driver import Jail, Jailed

_LAST_WORDS_SECONDS = 5.0


def _nowhere(_: bytes) -> None:
    """Between cells nobody listens; what a thread prints then is lost."""


class CellContext:
    """A running context and its pipes. It ends with the sandbox, or when a cell kills it."""

    def __init__(
        self,
        control: Control,
        jail: Jail,
        language: Language,
        cwd: str,
        environment: dict[str, str],
    ) -> None:
        self._control, self._language, self._cwd = control, language, cwd
        self.environment = environment
        self._stdout, self._stderr, self._frames = (Outlet(_nowhere) for _ in range(3))
        # The agent goes on only when a frame was read: so much was printed before it, no more.
        self._frames.first = (self._stdout, self._stderr)
        cells_read, self._cells = pipe()
        os.set_blocking(self._cells, False)
        given = [self._stdout.write, self._stderr.write, cells_read, self._frames.write]
        self.alive = True
        try:
            languages.complete(language, given)
            asked = languages.request(language, jail, cwd, environment)
            self.number = control.request("context", given, **asked)
        except JavaMissing as error:
            self.close()
            raise Unsupported(f"No {language.name} kernel: {error}") from error
        except BaseException:
            self.close()
            raise
        finally:
            for descriptor in given:
                os.close(descriptor)

    def run(
        self,
        sandbox: LocalSandbox,
        code: str,
        timeout: float | None,
        streams: tuple[Sink, Sink],
        on_result: Callable[[Result], None] | None,
        language: str,
    ) -> Execution:
        """Run one cell, in a language that its kernel knows, to its end; `sandbox`: its own."""
        # Not before: it is imported while the context starts.
        from e2brun.sandbox.local.blocking.supervisor import Supervisor

        reader, report = FrameReader(), CellReport()
        began = 0.0

        def hear(data: bytes) -> None:
            nonlocal began
            for frame in reader.feed(data):
                report.add(frame)
                if isinstance(frame, CellStarted):
                    began = monotonic()
                    continue
                if on_result is not None and isinstance(frame, ResultFrame):
                    on_result(frame.result)

        self._stdout.redirect(streams[0])
        self._stderr.redirect(streams[1])
        self._frames.redirect(hear)
        outlets = [outlet for outlet in (self._stdout, self._stderr, self._frames) if outlet.open]
        following = Supervisor(
            self._control,
            self.number,
            outlets=outlets,
            inlet=Inlet(encode_cell(code, language=language), into=self._cells),
            end_sandbox=sandbox.jailed.end,
        )
        following.ask_to_end = self._interrupt
        following.finished = lambda: report.ended
        try:
            execution = self._follow(sandbox, following, timeout)
        except ForgedFrames as error:
            self._end_forger(following, sandbox.jailed)
            results = tuple(report.results)
            return Execution(Outcome.ERROR, 1, error=tampered(str(error)), results=results)
        finally:
            self._stdout.redirect(_nowhere)
            self._stderr.redirect(_nowhere)
        if following.exited is not None or execution.outcome is Outcome.LOST:
            self.close()
        if began:  # IPython's own start is not the cell's
            execution = execution.but(execution_time=monotonic() - began)
        return _told(execution, report, following)

    def close(self) -> None:
        """Close our ends; a context still there then leaves by itself."""
        if self.alive:
            self.alive = False
            os.close(self._cells)
            for outlet in (self._stdout, self._stderr, self._frames):
                outlet.close()

    def _interrupt(self) -> None:
        """Politely first: an interrupted context keeps its state for the next cell. E2B lets
        nobody hear what a cell says to that."""
        self._stdout.drain()
        self._stderr.drain()
        self._stdout.redirect(_nowhere)
        self._stderr.redirect(_nowhere)
        self._signal(SIGINT)

    def _follow(
        self, sandbox: LocalSandbox, following: Supervisor, timeout: float | None
    ) -> Execution:
        try:
            return sandbox.follow(following, timeout)
        except SandboxError as error:
            self.close()
            raise self._not_started(error) from error

    def _not_started(self, error: SandboxError) -> SandboxError:
        language = self._language
        if f" {self._cwd}: " in str(error):
            return FileTransferFailed(endings.no_directory(self._cwd))
        if not language.argv or isinstance(error, SandboxLost):
            return error
        return Unsupported(f"no {language.name} kernel: {language.install or error}")

    def _signal(self, number: int) -> None:
        """A signal for all that the cell has started, too."""
        self._control.request("context", run=self.number, signal=int(number))

    def _end_forger(self, following: Supervisor, jailed: Jailed) -> None:
        """The code wrote to the result channel itself: nothing it says counts any more."""
        try:
            if following.exited is None:
                self._signal(SIGKILL)
                self._control.wait_for(self.number, _LAST_WORDS_SECONDS)
        except SandboxLost:
            jailed.end()
        self.close()


def _told(execution: Execution, report: CellReport, following: Supervisor) -> Execution:
    """The end of the run, and what the cell said of itself, in that order of trust."""
    results, elapsed = tuple(report.results), execution.execution_time
    if following.verdict is not None:
        return execution.but(results=results)
    if report.ended:
        return cell_execution(report.error, results, elapsed)
    if following.exited is not None:
        return interpreter_gone(results, elapsed)
    return execution.but(results=results)
