"""`e2brun sandbox shell`: a login shell in a sandbox, on this terminal."""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType

from e2brun.cli.sandbox_place import place
from e2brun.errors import SandboxError, SandboxLost, UsageError
from e2brun.report.streams import FdWriter
from e2brun.report.terminal_strings import RESET, StringFilter
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.channel import Broken, Channel, pump, start_thread
from e2brun.sandbox.e2b.program import ending
from e2brun.sandbox.e2b.run import attempted
from e2brun.sandbox.e2b.translate import known, translate

_PIECE = 16 * 1024
_SEND_SECONDS = 30.0
_END_SECONDS = 3.0


def shell(on: str | None, sandbox_id: str) -> int:
    """The shell's exit code; 125 where it was lost."""
    if not (os.isatty(0) and os.isatty(1)):
        raise UsageError(
            "shell needs a terminal", hint=f"e2brun sandbox exec {sandbox_id} -- bash -c '...'"
        )
    where = place(on)
    try:
        native, _ = where.about(sandbox_id).attach(sandbox_id)
        env = {"TERM": "dumb"} if where.settings.dumb_terminal else {}
        return _Session(native, env).run()
    except SandboxError as error:
        raise SandboxLost(str(error), hint=error.hint) from error  # 1 is the shell's own


class _Session:
    """One shell: a thread reads its events, another what is typed; this one shows and waits."""

    def __init__(self, native: sdk.Native, env: dict[str, str]) -> None:
        self._native, self._env = native, env
        self._events: Channel[sdk.CommandEvent | Broken] = Channel()
        self._pid = 0
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> int:
        native, env = self._native, self._env
        pump(lambda: sdk.terminal(native, *os.get_terminal_size(0), env), self._events, "shell")
        with _raw_terminal(self._resized):
            try:
                return self._show()
            finally:
                self._events.close()
                os.close(self._wake_write)
                self._end()

    def _show(self) -> int:
        safe, write = StringFilter(), FdWriter(1)
        while True:
            match self._events.take(None):
                case sdk.SdkStarted(pid):
                    self._pid = pid
                    start_thread(self._type, "typing")
                case sdk.Output(data):
                    write(safe.feed(data))
                case sdk.Ended() as end:
                    self._pid = 0
                    execution = ending(end, 0.0)
                    code = execution.exit_code
                    return SandboxError.exit_code if code is None else code
                case sdk.Alive():
                    pass
                case Broken(BaseException() as error):
                    raise translate(error) or error
                case Broken() | None:
                    raise SandboxLost("the shell was cut off")

    def _type(self) -> None:
        """Pass on what is typed, and the terminal's size when it changes."""
        watched = select.poll()
        watched.register(0, select.POLLIN)
        watched.register(self._wake_read, select.POLLIN)
        try:
            while self._pass_on({descriptor for descriptor, _ in watched.poll()}):
                pass
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that shows
            if known(error) is None:
                self._events.put(Broken(error))
        finally:
            os.close(self._wake_read)

    def _pass_on(self, ready: set[int]) -> bool:
        if self._wake_read in ready:
            if not os.read(self._wake_read, 64):
                return False
            sdk.resize(self._native, self._pid, *os.get_terminal_size(0))
        if 0 in ready:
            data = os.read(0, _PIECE)
            if not data:
                return False
            self._native.pty.send_stdin(self._pid, data, request_timeout=_SEND_SECONDS)
        return True

    def _resized(self) -> None:
        with suppress(OSError):
            os.write(self._wake_write, b"r")

    def _end(self) -> None:
        """Hang up where the shell still runs: nobody would ever see it again."""
        pid = self._pid
        if pid:
            attempted(lambda: self._native.pty.kill(pid), deadline=_END_SECONDS, name="hanging up")


@contextmanager
def _raw_terminal(resized: Callable[[], None]) -> Generator[None]:
    """Every key goes to the shell. However this ends, the terminal is as it was."""
    before = termios.tcgetattr(0)

    def changed(_number: int, _frame: FrameType | None) -> None:
        resized()

    earlier = signal.signal(signal.SIGWINCH, changed)
    try:
        tty.setraw(0)
        yield
    finally:
        signal.signal(signal.SIGWINCH, earlier)
        with suppress(OSError):
            FdWriter(1)(RESET)
        with suppress(termios.error):  # the terminal itself may be gone
            # What was typed for the shell, and what the terminal answered it, is not for ours.
            termios.tcsetattr(0, termios.TCSAFLUSH, before)
