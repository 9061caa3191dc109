"""The two pipes to the host: cells come in, frames go out; never from a forked child."""

from __future__ import annotations

import builtins
import os
import sys
from _thread import allocate_lock
from fcntl import ioctl
from os import close, getpid, write
from time import sleep

from ..jsontext import Fragment, frame_line, next_cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..jsontext import Field
    from .interrupts import Interrupts

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own

MIB = 1024 * 1024
MAX_RESULT = 32 * MIB
# A little under what the host's reader takes, so that an honest cell never trips it.
MAX_CELL = 64 * MIB
MAX_CELL_VALUES = 800_000
MAX_RESULTS = 1000
_FIONREAD = 0x541B
_ROUNDS, _ROUND_SECONDS = 5000, 0.00005  # half a second, for a host that has much to do


class Channel:
    """Frames leave whole or not at all, and only while a cell runs."""

    def __init__(self, cells_fd: int, frames_fd: int, interrupts: Interrupts) -> None:
        self.broken = False
        self._cells_fd = cells_fd
        self._frames_fd = frames_fd
        self._interrupts = interrupts
        self._pid = getpid()
        self._lock = allocate_lock()
        self._running = self._left_out = False
        self._bytes = self._values = self._results = 0
        for fd in (cells_fd, frames_fd):
            os.set_inheritable(fd, False)
        os.register_at_fork(after_in_child=self._abandon)

    def _abandon(self) -> None:
        # The child's copies go, so that the host sees the end of ours even if the child lives on.
        self._lock = allocate_lock()
        for fd in (self._cells_fd, self._frames_fd):
            try:
                close(fd)
            except OSError:
                continue

    @property
    def in_child(self) -> bool:
        """This process is a fork that the user made, not the one the host talks to."""
        return getpid() != self._pid

    def read_cell(self) -> tuple[str, dict[str, str], list[str]] | None:
        """The next cell's code, environment and places of packages; None: the host has hung up."""
        cell = next_cell(self._cells_fd, self._interrupts.forget)
        if cell is None:
            return None
        return cell["code"], cell.get("env") or {}, cell.get("paths") or []

    def start(self, execution_count: int) -> None:
        """Say that the cell was taken; results may follow."""
        self._bytes = self._values = self._results = 0
        self._left_out = False
        self._running = True
        self._send({"type": "started", "execution_count": execution_count})

    def error(self, name: str, value: str, traceback: str) -> None:
        """Say what the cell raised."""
        self._send({"type": "error", "name": name, "value": value, "traceback": traceback})

    def end(self) -> None:
        """Say that the cell is over. What a thread displays from now on is not sent."""
        with self._lock:
            self._running = False
        flush()
        self._send({"type": "end"}, anyway=True)

    def result(self, fields: Mapping[str, str | Fragment], main: bool) -> bool:
        """Send one result; one past a limit becomes a note or is left out. False: nobody to
        send it to."""
        if not self._running or self.in_child:
            return False
        if self._results >= MAX_RESULTS - (not main):  # the last place is the main result's
            if not self._left_out:
                complain(f"more than {MAX_RESULTS} results in one cell; the rest are left out")
            self._left_out = True
            return True
        self._results += 1
        held = self._interrupts.hold()
        try:
            flush()
            self._send({"type": "result", **self._within(fields), "is_main_result": main})
        except MemoryError:
            note = "<result left out: not enough memory>"
            self._send({"type": "result", "text": note, "is_main_result": main})
        finally:
            if held:
                self._interrupts.arm()
        self._wait_until_read()
        return True

    def _wait_until_read(self) -> None:
        """What is printed from now on must not be read before this frame: a pipe each, and a
        notebook's output may be cleared by it."""
        for _ in range(_ROUNDS):
            try:
                if not any(ioctl(self._frames_fd, _FIONREAD, b"\0\0\0\0")):
                    return
            except OSError:  # the user closed it
                return
            sleep(_ROUND_SECONDS)

    def _within(self, fields: Mapping[str, str | Fragment]) -> Mapping[str, Field]:
        """The fields as they fit what is left for this cell, or a note that they do not."""
        parts = {key: f if isinstance(f, Fragment) else Fragment(f) for key, f in fields.items()}
        written = sum(len(part.text) for part in parts.values())
        if written > MAX_RESULT - 1024:  # leave room for the keys
            return {"text": _too_large(written, "a result", MAX_RESULT)}
        # What the host will hold: a single emoji makes every character of its string 4 bytes.
        cost = max(written, sum(part.size for part in parts.values()))
        if self._bytes + cost > MAX_CELL:
            return {"text": _too_large(written, "the results of a cell", MAX_CELL)}
        self._bytes += cost
        return {key: part for key, part in parts.items() if self._affordable(part)}

    def _affordable(self, part: Fragment) -> bool:
        if self._values + part.values > MAX_CELL_VALUES:
            return False
        self._values += part.values
        return True

    def _send(self, frame: Mapping[str, Field], anyway: bool = False) -> None:
        data = frame_line(frame)
        # KeyboardInterrupt between two pieces would leave half a line behind.
        held = self._interrupts.hold()
        try:
            with self._lock:
                if (self._running or anyway) and not self.in_child:
                    self._write(data)
        finally:
            if held:
                self._interrupts.arm()

    def _write(self, data: memoryview) -> None:
        try:
            while data:
                data = data[write(self._frames_fd, data) :]
        except OSError:  # the user closed it, or the host is gone: no way to say so
            self.broken = True


def _too_large(size: int, what: str, limit: int) -> str:
    return f"<result too large: {size / MIB:.1f} MiB; the limit for {what} is {limit // MIB} MiB>"


_streams = (sys.stdout, sys.stderr)


def flush() -> None:
    """Push out what Python holds back, whatever the user made of the streams."""
    now = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    for stream in {id(stream): stream for stream in (*now, *_streams)}.values():
        try:
            stream.flush()  # type: ignore[union-attr] # pyright: ignore[reportOptionalMemberAccess]
        except BaseException:  # a stream of theirs: closed, or anything
            continue


def complain(line: str) -> None:
    """One line for the user on standard error, if they still have one."""
    try:
        sys.stderr.write(line + "\n")
    except Exception:  # a stream of theirs: closed, or anything
        return
