"""One program in an E2B sandbox, from the start request to its end."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from e2brun.errors import FileTransferFailed, SandboxError
from e2brun.sandbox import endings
from e2brun.sandbox.contract import Execution, Outcome, Program
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.channel import Broken, pump, start_thread
from e2brun.sandbox.e2b.launch import Launch, end_tree
from e2brun.sandbox.e2b.run import SILENCE, Run, Stopped, attempted
from e2brun.sandbox.e2b.sinks import Ending, Gate, Left, Tap
from e2brun.sandbox.e2b.translate import known, one_line, reworded, translate

FEED_PIECE = 64 * 1024
FEED_SECONDS = 30.0
MARGIN = 15.0  # seconds our own clock has to end a run before the SDK's does
KILL_SECONDS = 8.0
GRACE_SECONDS = 0.5  # between SIGTERM and SIGKILL
LAST_WORDS_SECONDS = 0.3
SLOWEST_UPLOAD = 64 * 1024  # bytes a second; whatever is slower has stalled
UPLOAD_PATIENCE = 120.0


class Feed:
    """A thread that passes a descriptor of ours on to the program's stdin; `stop` ends it even when
    the descriptor never ends."""

    def __init__(self, native: sdk.Native, pid: int, source: int) -> None:
        self._native = native
        self._pid = pid
        self._source = source
        self._wake_read, self._wake_write = os.pipe()
        self._stopped = False
        start_thread(self._run, "stdin")

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            os.close(self._wake_write)

    def _run(self) -> None:
        # poll, since epoll refuses regular files and select descriptors above 1023.
        with selectors.PollSelector() as selector:
            selector.register(self._source, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            try:
                while self._pass_on(selector):
                    pass
            except Exception as error:
                # The program ended or closed its stdin; how it ended is told elsewhere.
                if known(error) is None:
                    raise
            finally:
                with suppress(OSError):
                    os.close(self._wake_read)

    def _pass_on(self, selector: selectors.PollSelector) -> bool:
        ready = {key.fd for key, _ in selector.select()}
        if self._wake_read in ready or self._stopped:
            return False
        data = os.read(self._source, FEED_PIECE)
        if data:
            self._native.commands.send_stdin(self._pid, data, request_timeout=FEED_SECONDS)
            return True
        self._native.commands.close_stdin(self._pid, request_timeout=FEED_SECONDS)
        return False


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The files are there, or they never will be."""

    error: BaseException | None


@dataclass(frozen=True, slots=True)
class Killed:
    """The program was ended by us, its time being up."""


Event = sdk.CommandEvent | Uploaded | Broken | Stopped | Killed

# By the letter after the mark: what failed before the program began.
_REFUSALS: dict[str, tuple[type[SandboxError], Callable[[str], str]]] = {
    "f": (FileTransferFailed, endings.not_in_place),
    "p": (SandboxError, endings.not_started),
}


class Voices:
    """Both streams of a program on their way to the sinks, and what is said in them to us."""

    def __init__(self, mark: bytes, stdout: Tap, stderr: Tap) -> None:
        self._gate = Gate(mark, stderr)
        self._stdout, self._stderr = (Ending(mark, stdout.write), Ending(mark, self._gate.write))

    def hear(self, output: sdk.Output) -> None:
        (self._stderr if output.is_stderr else self._stdout).write(output.data)

    @property
    def left(self) -> Left | None:
        """How the program ended, once all that it said has been heard."""
        return self._stdout.left and self._stderr.left

    def flush(self) -> bytes | None:
        """There is no more. Why the program never ran, where that was said."""
        self._stdout.flush()
        self._stderr.flush()
        return self._gate.flush()


@dataclass
class ProgramRun(Run):
    """Runs one program."""

    program: Program
    launch: Launch
    upload: Callable[[], None]  # sends launch.uploads
    _pid: int | None = None
    _uploading_until: float | None = None
    _end: sdk.Ended | Left | None = None
    _ending_until: float | None = None  # its time is up: how long we wait for that
    _killed: bool = False
    _failure: FileTransferFailed | None = None
    _feed: Feed | None = None

    def __post_init__(self) -> None:
        self._voices = Voices(self.launch.mark, self.stdout, self.stderr)

    def run(self, upload_size: int) -> Execution:
        """Raises SandboxError when the program could not be started."""
        pump(self._said, self._events, "program", lambda event: isinstance(event, sdk.Ended))
        if self.launch.uploads:
            patience = UPLOAD_PATIENCE + upload_size / SLOWEST_UPLOAD
            self._uploading_until = time.monotonic() + patience
            start_thread(self._send, "upload")
        try:
            while True:
                result = self._obey(self._next())
                if result is not None:
                    return result
        finally:
            self._events.close()
            if self._feed is not None:
                self._feed.stop()

    def _said(self) -> Iterator[sdk.CommandEvent]:
        launch = self.launch
        deadline = 0.0 if self.timeout is None or launch.uploads else self.timeout + MARGIN
        stdin = isinstance(self.program.stdin, int)
        return sdk.run(self.native, launch.line, launch.env, stdin=stdin, deadline=deadline)

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
        if self._ending_until is not None:
            deadlines.append(self._ending_until)
        elif self._start is not None and self.timeout is not None:
            deadlines.append(self._start + self.timeout)
        return self._events.take(max(0.0, min(deadlines) - time.monotonic()))

    def _obey(self, event: Event | None) -> Execution | None:
        match event:
            case Broken(error):
                return self._broken(error)
            case Stopped():
                return self._finish(Outcome.KILLED, endings.KILLED)
            case sdk.Ended():
                self._end = event
            case None:
                if self._ending_until is None and not self._is_over_time():
                    return self._silent()
            case _:
                self._go_on(event)
        self._end = self._voices.left or self._end
        if self._ending_until is None and self._end is not None:
            return self._ended(self._end)
        return self._keep_time()

    def _go_on(self, event: sdk.SdkStarted | sdk.Output | sdk.Alive | Uploaded | Killed) -> None:
        match event:
            case sdk.SdkStarted(pid):
                self._started(pid)
            case sdk.Output():
                self._voices.hear(event)
            case Uploaded(error):
                self._uploaded(error)
            case Killed():  # what it said until then is on its way
                self._killed = True
                self._ending_until = time.monotonic() + LAST_WORDS_SECONDS
            case sdk.Alive():
                pass

    def _started(self, pid: int) -> None:
        self._pid = pid
        if self._failure is not None:
            self.kill()
            raise self._failure
        if self._uploading_until is None:
            self._start = time.monotonic()
        source = self.program.stdin
        if isinstance(source, int):
            self._feed = Feed(self.native, pid, source)

    def _uploaded(self, error: BaseException | None) -> None:
        self._uploading_until = None
        if error is None:
            self._start = time.monotonic()
            return
        ours = translate(error, *self.secrets, otherwise=FileTransferFailed)
        if ours is None:
            raise error
        self._failure = FileTransferFailed(endings.not_in_place(str(ours)))
        if self._pid is not None:
            self.kill()
            raise self._failure

    def _keep_time(self) -> Execution | None:
        """Its time being up, ask it to end, then kill it; meanwhile its last words are heard."""
        if self._ending_until is None:
            if self._is_over_time():
                self._ending_until = time.monotonic() + KILL_SECONDS
                start_thread(self._expire, "ending")
            return None
        heard_all = self._killed and self._end is not None
        if not heard_all and time.monotonic() < self._ending_until:
            return None
        self._voices.flush()
        return self._timed_out()

    def _expire(self) -> None:
        try:
            self.kill()
        finally:
            self._events.push_first(Killed())

    def _silent(self) -> Execution:
        if self._uploading_until is not None:
            self.kill()
            raise FileTransferFailed("the upload of its files stalled")
        return self._finish(Outcome.LOST, f"no sign of life from the sandbox for {SILENCE:.0f} s")

    def _ended(self, end: sdk.Ended | Left) -> Execution:
        refusal = self._voices.flush()
        if refusal is not None:
            said = one_line(refusal.decode(errors="replace"), *self.secrets)
            kind, words = _REFUSALS.get(said[:1], (FileTransferFailed, endings.not_in_place))
            raise kind(words(reworded(said[1:])))
        if isinstance(end, Left):
            return told(end, self._elapsed())
        return ending(end, self._elapsed())

    def _broken(self, error: BaseException | None) -> Execution:
        self._voices.flush()
        if self._ending_until is not None:
            return self._timed_out()
        if error is None:
            return self._finish(Outcome.LOST, "the sandbox ended the stream without an exit code")
        return self._lost(error, begun=self._pid is not None)

    def kill(self) -> None:
        """End the program itself, if that can be done: the run is over for us in any case."""
        pid = self._pid
        if pid is None:
            return
        line = end_tree(pid, GRACE_SECONDS)
        attempted(
            lambda: sdk.kill_command(self.native, pid, line),
            deadline=KILL_SECONDS,
            name="ending a command",
        )


def ending(end: sdk.Ended, elapsed: float) -> Execution:
    """As E2B tells it: of a program that no launcher of ours was the parent of."""
    number = _signal(end.status)
    if number is None and end.exit_code < 0:
        return Execution(
            Outcome.INFRASTRUCTURE,
            execution_time=elapsed,
            detail="E2B did not say how the program ended",
        )
    return endings.ended(end.exit_code, number or 0, elapsed=elapsed)


def told(left: Left, elapsed: float) -> Execution:
    """As the launcher tells it."""
    code = os.waitstatus_to_exitcode(left.status)
    return endings.ended(
        max(code, 0),
        max(-code, 0),
        elapsed=elapsed,
        peak=left.peak or None,
        completed=left.completed,
    )


def _signal(status: str) -> int | None:
    if not status.startswith("signal: "):
        return None
    name = status.removeprefix("signal: ").removesuffix(" (core dumped)")
    known = [number for number, named in endings.SIGNAL_NAMES.items() if named == name]
    if known:
        return known[0]
    number = name.removeprefix("signal ")  # Go's word for one without a name
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 4 else None
