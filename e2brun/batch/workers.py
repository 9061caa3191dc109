"""Threads that take cases one after the other, and hand over what came of them."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator

from e2brun.batch.case import Case
from e2brun.batch.width import Width
from e2brun.errors import RateLimited
from e2brun.runs.record import CaseRecord

_PATIENCE = 0.2  # seconds between two looks at whether a signal came
Done = tuple[Case, CaseRecord]


class Workers:
    """Runs `cases` with `run`, as many at once as `width` lets.

    `results` hands each over as it ends; a failure of `run` or of `cases` is raised there. Cases
    are taken only as results are, so that neither pile up.
    """

    def __init__(
        self, cases: Iterator[Case], run: Callable[[Case], CaseRecord], width: Width, most: int
    ) -> None:
        self._cases, self._run, self._width = cases, run, width
        self._lock = threading.Lock()
        self._again: deque[Case] = deque()
        self._done: queue.Queue[Done | BaseException | None] = queue.Queue(maxsize=2 * most)
        self._stopped = self._dry = False
        self._open = 0  # cases that were taken, and are not done
        self._threads = [
            threading.Thread(target=self._work, daemon=True, name="e2brun-batch")
            for _ in range(most)
        ]

    def results(self) -> Iterator[Done]:
        """In the order in which they end. No case is begun after `stop`."""
        for thread in self._threads:
            thread.start()
        working = len(self._threads)
        while working:
            try:
                found = self._done.get(timeout=_PATIENCE)
            except queue.Empty:  # a signal is heard between two waits
                continue
            match found:
                case None:
                    working -= 1
                case BaseException():
                    raise found
                case _:
                    yield found

    def stop(self) -> None:
        """Begin no other case; those that run come to their end."""
        self._stopped = True
        self._width.close()

    def abandon(self, seconds: float) -> None:
        """Nobody takes results any more: wait for the threads, so long at most."""
        self.stop()
        for thread in self._threads:
            while thread.is_alive() and seconds > 0:
                while not self._done.empty():
                    self._done.get()
                thread.join(0.05)
                seconds -= 0.05

    def _work(self) -> None:
        try:
            while self._width.enter():
                if not self._turn():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where results are taken
            self._done.put(error)
        finally:
            self._done.put(None)

    def _turn(self) -> bool:
        """One case; False when there is none."""
        case = None
        try:
            case = self._next()
            if case is None:
                return False
            record = self._run(case)
        except RateLimited as refusal:
            if case is None:
                raise
            return self._come_again(case, refusal)
        finally:
            self._width.leave()
        self._done.put((case, record))
        with self._lock:
            self._open -= 1
            self._close_when_done()
        return True

    def _come_again(self, case: Case, refusal: RateLimited) -> bool:
        with self._lock:
            self._again.append(case)
        if not self._width.refuse():
            raise refusal
        return True

    def _next(self) -> Case | None:
        """A refused one first. Whoever was refused is still there to come back for it."""
        with self._lock:
            case = None
            if self._again and not self._stopped:
                return self._again.popleft()
            if not (self._stopped or self._dry):
                case = next(self._cases, None)
            if case is None:
                self._dry = True
                self._close_when_done()
            else:
                self._open += 1
            return case

    def _close_when_done(self) -> None:
        """Others may wait for room that nobody needs any more."""
        if self._dry and not self._open:
            self._width.close()
