"""How many cases run side by side: a number, or as many as the provider bears."""

from __future__ import annotations

import threading
from time import monotonic

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds after a refusal; doubled by each in a row
_MOST_REFUSALS = 12  # in a row, with nothing running that could end: a minute of them


class Width:
    """At most `most` at once, and no more than whoever refuses one lets.

    A refusal ("not now", 429) says how many there may be: as many as there were without the one
    that was refused. After so many that went well one more is tried. Starts with `start`.
    """

    def __init__(self, start: int, most: int) -> None:
        self._room = threading.Condition()
        self.limit = min(start, most)  # how many there may be, as far as is known
        self.running = 0
        self._most = most
        self._well = self._in_a_row = self._was_refused = 0
        self._refused = False
        self._not_before = 0.0
        self._closed = False

    def enter(self) -> bool:
        """Wait for room. False: it is closed."""
        with self._room:
            while not self._closed:
                wait = self._not_before - monotonic()
                if wait <= 0 and self.running < self.limit:
                    self.running += 1
                    return True
                self._room.wait(wait if wait > 0 else None)
            return False

    def leave(self) -> None:
        with self._room:
            self.running -= 1
            if self._was_refused:
                self._was_refused -= 1
            else:
                self._grow()
            self._room.notify(2)

    def _grow(self) -> None:
        self._in_a_row = 0
        self._well += 1
        # Before the first refusal the limit is nowhere near: double it in each round.
        if self.limit < self._most and (not self._refused or self._well >= self.limit):
            self.limit, self._well = self.limit + 1, 0

    def refuse(self) -> bool:
        """One that is to leave now was one too many. False: coming again has no sense."""
        with self._room:
            others = self.running - 1
            self.limit = max(1, min(self.limit, others))
            self._refused, self._well = True, 0
            self._was_refused += 1
            pause = min(_FIRST_PAUSE * 2**self._in_a_row, _LONGEST_PAUSE)
            self._in_a_row += 1
            self._not_before = monotonic() + pause
            return others > 0 or self._in_a_row < _MOST_REFUSALS

    def close(self) -> None:
        with self._room:
            self._closed = True
            self._room.notify_all()
