"""One program in an E2B sandbox, from the start request to its end.

A thread reads the SDK's events into a channel; the caller's thread takes them out, under our
own clock, and feeds the sinks. Every way this can end is an `Execution`, once it has started.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from e2brun.errors import FileTransferFailed, SandboxError, SandboxLost
from e2brun.sandbox.contract import Execution, Outcome, Program
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.channel import CAPACITY, Channel, call, start_thread
from e2brun.sandbox.e2b.endings import ending
from e2brun.sandbox.e2b.feed import Feed
from e2brun.sandbox.e2b.launch import Launch, kill_tree
from e2brun.sandbox.e2b.sinks import Gate, Sinks
from e2brun.sandbox.e2b.translate import one_line, translate

# E2B sends a sign of life every 50 seconds to whoever asks for it, as the SDK does.
SILENCE = 150.0
MARGIN = 15.0  # seconds our own clock has to end a run before the SDK's does
KILL_SECONDS = 8.0
SLOWEST_UPLOAD = 64 * 1024  # bytes a second; whatever is slower has stalled
UPLOAD_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The files are there, or they never will be."""

    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Broken:
    """The events ended: with an error, or without the one that says how it ended."""

    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody killed the sandbox from another thread."""


Event = sdk.CommandEvent | Uploaded | Broken | Stopped


@dataclass(slots=True)
class ProgramRun:
    """Runs one program; `stop` may be called from any thread."""

    native: sdk.Native
    program: Program
    launch: Launch
    timeout: float | None
    sinks: Sinks
    upload: Callable[[], None]  # sends launch.uploads
    secrets: tuple[str, ...]
    _events: Channel[Event] = field(default_factory=Channel[Event])
    _pid: int | None = None
    _start: float | None = None  # when the program's own time began
    _uploading_until: float | None = None
    _failure: FileTransferFailed | None = None
    _feed: Feed | None = None

    def stop(self) -> None:
        self._events.push_first(Stopped())

    def run(self, upload_size: int) -> Execution:
        """Raises SandboxError when the program could not be started."""
        start_thread(self._read, "program")
        if self.launch.uploads:
            patience = UPLOAD_PATIENCE + upload_size / SLOWEST_UPLOAD
            self._uploading_until = time.monotonic() + patience
            start_thread(self._send, "upload")
        gate = Gate(self.launch.gate, self.sinks.stderr)
        try:
            while True:
                result = self._obey(self._next(), gate)
                if result is not None:
                    return result
        finally:
            self._events.close()
            if self._feed is not None:
                self._feed.stop()

    def _read(self) -> None:
        line = self.launch
        deadline = 0.0 if self.timeout is None or line.uploads else self.timeout + MARGIN
        command = sdk.Command(line.line, line.env, line.feeds_stdin, deadline)
        try:
            for event in sdk.run(self.native, command):
                if not self._events.put(event):
                    return
            self._events.put(Broken(None))
        except BaseException as error:  # noqa: BLE001 - judged by the thread that waits
            self._events.put(Broken(error))

    def _send(self) -> None:
        try:
            self.upload()
            self._events.put(Uploaded(None))
        except BaseException as error:  # noqa: BLE001 - judged by the thread that waits
            self._events.put(Uploaded(error))

    def _next(self) -> Event | None:
        """None when there was nothing until the nearest of our deadlines."""
        deadlines = [time.monotonic() + SILENCE]
        if self._uploading_until is not None:
            deadlines.append(self._uploading_until)
        if self._start is not None and self.timeout is not None:
            deadlines.append(self._start + self.timeout)
        return self._events.take(max(0.0, min(deadlines) - time.monotonic()))

    def _obey(self, event: Event | None, gate: Gate) -> Execution | None:
        if self._is_over_time() and not isinstance(event, sdk.Ended):
            return self._timed_out(event, gate)
        match event:
            case None:
                return self._silent()
            case sdk.Ended():
                return self._ended(event, gate)
            case Broken(error):
                gate.flush()
                return self._broken(error)
            case Stopped():
                return self._finish(Outcome.KILLED, "the sandbox was killed while it ran")
            case _:
                self._go_on(event, gate)
                return None

    def _go_on(self, event: sdk.Started | sdk.Output | sdk.Alive | Uploaded, gate: Gate) -> None:
        match event:
            case sdk.Started(pid):
                self._started(pid)
            case sdk.Output(data, is_stderr):
                (gate.write if is_stderr else self.sinks.stdout.write)(data)
            case Uploaded(error):
                self._uploaded(error)
            case sdk.Alive():
                pass

    def _started(self, pid: int) -> None:
        self._pid = pid
        if self._failure is not None:
            self._kill()
            raise self._failure
        if self._uploading_until is None:
            self._start = time.monotonic()
        source = self.program.stdin
        if isinstance(source, int):
            self._feed = Feed(self.native, pid, source)
            self._feed.start()

    def _uploaded(self, error: BaseException | None) -> None:
        self._uploading_until = None
        if error is None:
            self._start = time.monotonic()
            return
        ours = translate(error, *self.secrets, otherwise=FileTransferFailed)
        if ours is None:
            raise error
        self._failure = (
            ours if isinstance(ours, FileTransferFailed) else FileTransferFailed(str(ours))
        )
        if self._pid is not None:
            self._kill()
            raise self._failure

    def _is_over_time(self) -> bool:
        if self.timeout is None or self._start is None:
            return False
        return time.monotonic() >= self._start + self.timeout

    def _timed_out(self, event: Event | None, gate: Gate) -> Execution:
        self._kill()
        for _ in range(CAPACITY):  # what it wrote in time
            if not isinstance(event, sdk.Output):
                break
            (gate.write if event.is_stderr else self.sinks.stdout.write)(event.data)
            event = self._events.take(0)
        gate.flush()
        return self._finish(Outcome.TIMEOUT, f"it took longer than {self.timeout:g} s")

    def _silent(self) -> Execution:
        if self._uploading_until is not None:
            self._kill()
            message = "the upload of its files stalled"
            raise FileTransferFailed(message)
        return self._finish(Outcome.LOST, f"no sign of life from the sandbox for {SILENCE:.0f} s")

    def _ended(self, end: sdk.Ended, gate: Gate) -> Execution:
        refusal = gate.flush()
        if refusal is not None:
            said = one_line(refusal.decode(errors="replace"), *self.secrets)
            message = said or "its files could not be put in place"
            kind = SandboxError if said.startswith("cannot enter") else FileTransferFailed
            raise kind(message)
        return ending(end, self._elapsed())

    def _broken(self, error: BaseException | None) -> Execution:
        if error is None:
            return self._finish(Outcome.LOST, "the sandbox ended the stream without an exit code")
        ours = translate(error, *self.secrets)
        if ours is None:
            raise error
        if self._pid is None and not isinstance(ours, SandboxLost):
            raise ours
        return self._finish(Outcome.LOST, str(ours))

    def end(self) -> None:
        """End the program itself, where its sandbox lives on."""
        self._kill()

    def _kill(self) -> None:
        """Best effort: the run is over for us whether or not it can be ended over there."""
        pid = self._pid
        if pid is None:
            return
        try:
            call(
                lambda: sdk.kill_command(self.native, pid, kill_tree(pid)),
                deadline=KILL_SECONDS,
                name="ending a command",
            )
        except Exception as error:
            if translate(error) is None:
                raise

    def _elapsed(self) -> float:
        return 0.0 if self._start is None else time.monotonic() - self._start

    def _finish(self, outcome: Outcome, detail: str) -> Execution:
        return Execution(outcome, execution_time=self._elapsed(), detail=detail)
