"""Hand events from a thread that reads to the caller who waits, with a deadline and an interrupt.

The SDK blocks in native code where no signal handler of Python runs and no deadline of ours
reaches, so nothing of it is ever called from the caller's own thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from e2brun.errors import SandboxLost

T = TypeVar("T")

CAPACITY = 64


class Channel(Generic[T]):
    """A bounded queue whose reader may leave: the writer is then told to stop."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: T) -> bool:
        """Wait for room; False once nobody reads any more."""
        with self._changed:
            while len(self._items) >= CAPACITY and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def push_first(self, item: T) -> None:
        """Put ahead of everything, never waiting."""
        with self._changed:
            self._items.appendleft(item)
            self._changed.notify_all()

    def take(self, timeout: float | None) -> T | None:
        """The next item, or None after `timeout` seconds without one."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._items, timeout):
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


def start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """A thread that does not keep the interpreter from ending."""
    thread = threading.Thread(target=target, name=f"e2brun-{name}", daemon=True)
    thread.start()
    return thread


class Broken(NamedTuple):
    """The items ended: with an error, or, as they may have to, without."""

    error: BaseException | None


def pump(
    items: Callable[[], Iterable[T]],
    into: Channel[T | Broken],
    name: str,
    last: Callable[[T], bool] = lambda _: False,
) -> None:
    """Put these there, in a thread, to their end or to the `last` one; Broken after their end."""

    def run() -> None:
        try:
            for item in items():
                if not into.put(item) or last(item):
                    return
            into.put(Broken(None))
        except BaseException as error:  # noqa: BLE001 - judged by the thread that waits
            into.put(Broken(error))

    start_thread(run, name)


def call(operation: Callable[[], T], *, deadline: float, name: str) -> T:
    """`operation`'s result, waited for where signals are heard; SandboxLost after `deadline`
    seconds. The operation itself goes on to its own end, which nobody hears of."""
    return next(iterate(lambda: iter((operation(),)), idle=deadline, name=name))


def iterate(pieces: Callable[[], Iterator[T]], *, idle: float, name: str) -> Iterator[T]:
    """The items of an iterator that runs in a thread, SandboxLost after `idle` seconds of none."""
    channel: Channel[tuple[T] | Broken] = Channel()
    pump(lambda: zip(pieces()), channel, name)
    try:
        while True:
            match channel.take(idle):
                case None:
                    raise SandboxLost(f"no answer from E2B in {idle:.0f} s ({name})")
                case Broken(error):
                    if error is not None:
                        raise error
                    return
                case (piece,):
                    yield piece
    finally:
        channel.close()
