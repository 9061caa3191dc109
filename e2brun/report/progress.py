"""How far many cases are: one line that is drawn over on a terminal, else a line now and then."""

from __future__ import annotations

import sys
from contextlib import suppress
from time import monotonic

from e2brun.report.safe import encodable

_REDRAW_SECONDS = 0.2
_LINE_SECONDS = 15.0
_CLEAR = "\r\x1b[K"


class Progress:
    """Draws on stderr. `show` may be called for every case; it draws when it is time."""

    def __init__(self, total: int, *, terminal: bool) -> None:
        self._total, self._terminal = total, terminal
        self._began = self._drawn = monotonic()
        self._first: int | None = None  # done before we began
        self._shown = False

    def show(self, done: int, passed: int, failed: int, faults: int, running: int) -> None:
        """As they stand; `faults`: infrastructure."""
        now = monotonic()
        if self._first is None:
            self._first = max(0, done - 1)
        if now - self._drawn < (_REDRAW_SECONDS if self._terminal else _LINE_SECONDS):
            return
        self._drawn = now
        parts = [f"{done} of {self._total}", f"{passed} passed", f"{failed} failed"]
        if faults:
            parts.append(f"{faults} infrastructure")
        parts += [f"{running} running", *self._speed(done, now)]
        self._write(encodable(" · ".join(parts), sys.stderr))

    def clear(self) -> None:
        if self._shown:
            self._shown = False
            with suppress(OSError):
                sys.stderr.write(_CLEAR)
                sys.stderr.flush()

    def _speed(self, done: int, now: float) -> list[str]:
        new, elapsed = done - (self._first or 0), now - self._began
        if not new or elapsed <= 0:
            return []
        rate = new / elapsed
        return [f"{rate:.1f}/s", f"{_clock((self._total - done) / rate)} left"]

    def _write(self, line: str) -> None:
        with suppress(OSError):  # nobody listens any more
            if self._terminal:
                self._shown = True
                sys.stderr.write(_CLEAR + line)
            else:
                sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
