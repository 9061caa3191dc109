"""What a kernel says of one cell, as lines for the client who asked for it: told as it happens, and
never more of it in memory than a slow client is owed."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable

from e2brun.sandbox.cell_end import INTERPRETER_GONE, tampered
from e2brun.sandbox.local.host import event_lines
from e2brun.sandbox.local.host.control import Exited
from e2brun.sandbox.local.host.frames import (
    CellEnd,
    CellStarted,
    ErrorFrame,
    ForgedFrames,
    Frame,
    FrameReader,
    ResultFrame,
)
from e2brun.sandbox.local.host.kernel import PIECE, Kernel
from e2brun.sandbox.local.host.output import Outflow

KEEPALIVE_SECONDS = 5.0
_GATHER_SECONDS = 0.02  # prints in a row are one piece of output, as a notebook's are
_SHORT_CELL_SECONDS = 0.002
_FULL = 1024 * 1024  # bytes a client has not taken, from which on the cell has to wait
_LAST_WORDS_SECONDS = 0.3
_PIPE_PIECES = 8  # what a pipe can hold, in the pieces that Kernel.read takes
_APART_PIECES = 256  # and of those that were written apart
_STREAMS = ("stdout", "stderr")
_PIPES = (*_STREAMS, "frames")


class CellExecution:
    """What a kernel says of one cell, as lines for the client."""

    def __init__(self, kernel: Kernel, outflow: Outflow) -> None:
        self.kernel = kernel
        self.over = asyncio.Event()
        self.deserted = False  # nobody takes the lines any more
        self.broken = False  # its process is not to be used again
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in _STREAMS
        }
        self._outflow = outflow
        self._allowances = {name: outflow.allowance() for name in _PIPES}
        self._lines = bytearray()
        self._failed = ""
        self._wait = 0.0  # seconds that the pipes are to be left alone: see Outflow
        self._gathering: dict[str, asyncio.TimerHandle] = {}
        self._wake: asyncio.Future[None] | None = None

    @property
    def status(self) -> str:
        """How it ended: ok, error, killed, or cancelled by a client who left."""
        if not self.over.is_set():
            return "cancelled"
        return self._failed or "ok"

    async def lines(self) -> bytes:
        """The next lines; a keepalive when there were none for a while; b"" after the last."""
        if not self._lines and not self.over.is_set():
            self._wake = self._loop.create_future()
            timer = self._loop.call_later(KEEPALIVE_SECONDS, self._stir)
            await self._wake
            timer.cancel()
            if not self._lines:
                return event_lines.KEEPALIVE
        taken = bytes(self._lines)
        full = len(taken) > _FULL
        self._lines.clear()
        if full and not self.over.is_set():
            self._resume()
        return taken

    def desert(self) -> None:
        """The client has gone; the cell is only followed to its end."""
        self.deserted = True
        self._lines.clear()
        self._resume()

    def _resume(self) -> None:
        for name in _PIPES:
            if name not in self._gathering:
                self.kernel.resume(name)

    def readable(self, name: str) -> None:
        """There is something in the pipe of this name (stdout, stderr, frames), or its end."""
        if name == "frames":
            self._read_frames()
        else:
            self._later(name, _GATHER_SECONDS, self._gathered)

    def _later(self, name: str, seconds: float, then: Callable[[str], None]) -> None:
        self.kernel.pause(name)
        self._gathering[name] = self._loop.call_later(seconds, self._rung, name, then)

    def _rung(self, name: str, then: Callable[[str], None]) -> None:
        self._gathering.pop(name, None)
        if not self.over.is_set():
            then(name)

    def _gathered(self, name: str) -> None:
        if not self._drain(name):
            return
        wait, self._wait = self._wait, 0.0  # watch it again, when what came of it may have come
        if wait > 0:
            self._later(name, wait, self._watch)
        else:
            self._watch(name)

    def _drain(self, name: str, *, last: bool = False) -> bool:
        """Tell what is in a pipe now; False at its end."""
        pieces: list[bytes] = []
        piece: bytes | None = b""
        for _ in range(_APART_PIECES if self.kernel.apart else _PIPE_PIECES):
            piece = self.kernel.read(name)
            if not piece:
                break
            self._wait = max(self._wait, self._outflow.passed(len(piece)))
            pieces.append(self._allowances[name].cut(piece))
        told = pieces[:-1] if self.kernel.apart else []
        for one in told:
            self._say(name, one)
        self._say(name, b"".join(pieces[len(told) :]), last=last)
        return piece is not None

    def _say(self, name: str, data: bytes, *, last: bool = False) -> None:
        text = self._decoders[name].decode(data, last)
        if text:
            self._tell(event_lines.output(name, text))

    def _watch(self, name: str) -> None:
        if len(self._lines) <= _FULL:
            self.kernel.resume(name)

    def _read_frames(self) -> None:
        # What was printed before these frames is told before, and no more: a Python goes on only
        # when it sees its result read.
        size = min(self.kernel.waiting("frames"), PIECE) or PIECE
        for name in _STREAMS:
            self._drain(name)
        data = self.kernel.read("frames", size)
        if data is None:
            self.kernel.pause("frames")
            # Its end shows here first; why it ended comes from the agent.
            self._loop.call_later(_LAST_WORDS_SECONDS, self._broken, "it closed their channel")
            return
        try:
            frames = self._reader.feed(data)
        except ForgedFrames as error:
            self._broken(str(error))
            return
        self._wait = max(self._wait, self._outflow.passed(len(data)))
        for frame in frames:
            if isinstance(frame, CellEnd):  # with the rest of a character that never came
                for name in _STREAMS:
                    self._drain(name, last=True)
            self._take(frame)
        if not self.over.is_set():
            self._hold_frames()

    def _hold_frames(self) -> None:
        """Read no more of them for now, where the client or a bound on the rate says so."""
        if len(self._lines) > _FULL:
            self.kernel.pause("frames")
        elif self._wait > 0:
            self._later("frames", self._wait, self._watch)
            self._wait = 0.0

    def _take(self, frame: Frame) -> None:
        match frame:
            case CellStarted():
                if not self.deserted:
                    # Before what it has printed since, which is told first where both are there.
                    self._lines[:0] = event_lines.count(frame.execution_count)
                # A short cell ends before that: one piece for the client instead of three.
                self._loop.call_later(_SHORT_CELL_SECONDS, self._push)
            case ResultFrame():
                self._show(event_lines.result(frame.result))
            case ErrorFrame():
                self._fail(frame.name, frame.value, frame.traceback)
            case CellEnd():
                self._finish()

    def _show(self, line: bytes) -> None:
        """A result; half of one is none."""
        allowance = self._allowances["frames"]
        if allowance.fits(len(line)):
            self._tell(line)
        else:
            self._say("stderr", allowance.notice())

    def _broken(self, reason: str) -> None:
        """Nothing more it says counts; whoever follows this run kills it."""
        if self.over.is_set():
            return
        self.broken = True
        error = tampered(reason)
        self._break_off(error.name, error.value, error.traceback)

    def ended(self, exited: Exited) -> None:
        """The process is gone in the middle of its cell."""
        if self.over.is_set():
            return
        how = f"was killed by signal {exited.signal}" if exited.signal else "ended"
        if not exited.signal and exited.code:
            how += f" with exit code {exited.code}"
        value = (
            f"The context's process {how}; its variables are lost, the next execution starts anew"
        )
        self._break_off(INTERPRETER_GONE, value)

    def _break_off(self, name: str, value: str, traceback: str = "") -> None:
        for stream in _STREAMS:
            self._drain(stream, last=True)
        self._fail(name, value, traceback)
        self._finish()

    def _fail(self, name: str, value: str, traceback: str) -> None:
        if not self._failed:
            self._failed = "killed" if name == INTERPRETER_GONE else "error"
            self._tell(event_lines.error(name, value, traceback))

    def _finish(self) -> None:
        for timer in self._gathering.values():
            timer.cancel()
        self._gathering.clear()
        self._lines += event_lines.END
        self.over.set()
        self._stir()

    def _tell(self, line: bytes) -> None:
        if self.deserted:
            return
        self._lines += line
        self._stir()
        if len(self._lines) > _FULL:
            for name in _PIPES:
                self.kernel.pause(name)

    def _push(self) -> None:
        if self._lines:
            self._stir()

    def _stir(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)
