"""How much of what programs print leaves a sandbox: bounds for those who ask for them.

E2B has none, so there are none unless the service was given some. A program that prints faster
waits, as one does whose client reads slowly; what comes past the total is dropped, and said so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

_BURST_SECONDS = 0.1  # a debt that nobody waits for: timers are not exact
_UNHEARD_RATE = 32 * 1024 * 1024  # bytes a second of what is read only so that nobody waits


@dataclass(frozen=True, slots=True)
class OutputBounds:
    """0: none."""

    rate: int = 0  # bytes a second, of everything in a sandbox together
    total: int = 0  # bytes of one stream of a program, or of a cell


class Outflow:
    """What one sandbox prints, counted."""

    def __init__(self, bounds: OutputBounds) -> None:
        self._bounds = bounds
        self._paid_at = 0.0

    def passed(self, size: int, *, heard: bool = True) -> float:
        """Count so many bytes; for how many seconds whoever read them should read no more. What
        nobody hears is not to keep the service busy."""
        wait = 0.0 if heard else size / _UNHEARD_RATE
        if self._bounds.rate:
            now = time.monotonic()
            self._paid_at = max(self._paid_at, now) + size / self._bounds.rate
            wait = max(wait, self._paid_at - now - _BURST_SECONDS)
        return wait

    def allowance(self) -> Allowance:
        """For a new stream."""
        return Allowance(self._bounds.total)


class Allowance:
    """What may still come of one stream."""

    def __init__(self, total: int) -> None:
        self._total, self._left = total, total
        self._said = False

    def cut(self, data: bytes) -> bytes:
        """As much of it as may come; at the end of that, a line that says so."""
        if self.fits(len(data)):
            return data
        kept, self._left = data[: self._left], 0
        return kept + self.notice()

    def fits(self, size: int) -> bool:
        """Whether so many bytes may come; they then count."""
        fits = not self._total or size <= self._left
        if fits:
            self._left -= size
        return fits

    def notice(self) -> bytes:
        """What tells of the cut, the first time."""
        if self._said:
            return b""
        self._said = True
        return f"\n[output cut after {self._total} bytes: --max-output]\n".encode()
