"""The mirror's process: a counter for each sandbox, and little imported before one is asked.

It is the host's, and so holds credentials. A sandbox only ever says the name of a project or of one
of its files; what an index says is text to be read.
"""

from __future__ import annotations

import _thread
import errno
import os
import resource
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, NoReturn

from e2brun.sandbox.local.agent.descriptors import received

if TYPE_CHECKING:
    from e2brun.sandbox.local.mirror.counter import Counter, Indexes

AT_ONCE = 8  # requests of one sandbox, each with a page in memory; others wait in its backlog
_STACK = 512 * 1024
_MEMORY = 1 << 30
_PAUSE = 0.1


def main(control: int) -> NoReturn:
    """Serve whom the socket `control` brings until it is closed. In argv: see `Mirror`."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.stack_size(_STACK)
    host = socket.socket(fileno=control)
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    doors: dict[int, Door] = {}  # by what is closed when their sandbox ends
    while True:
        for descriptor, _ in waiting.poll():
            if descriptor != control:
                waiting.unregister(descriptor)
                os.close(descriptor)
                doors.pop(descriptor).shut()
                continue
            message, given = received(host, 16, 2)
            if not message:
                os._exit(0)
            listener, lifeline = given
            doors[lifeline] = Door(socket.socket(fileno=listener))
            waiting.register(lifeline, 0)
            _begin(_keep, doors[lifeline])


def _begin(work: Callable[..., object], *given: object) -> None:
    """In a thread; where there is no memory for one, when there is again."""
    while True:
        try:
            # `threading` waits for it to begin, for ever where it finds no memory then.
            _thread.start_new_thread(work, given)
        except (MemoryError, RuntimeError):
            time.sleep(_PAUSE)
        else:
            return


class Door:
    """Where one sandbox is answered."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self._callers: set[socket.socket] = set()

    def shut(self) -> None:
        """Whoever waits there is woken, and nobody is answered any more."""
        for one in (self.listener, *self._callers.copy()):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def serve(
        self, counter: Counter, caller: socket.socket, places: threading.BoundedSemaphore
    ) -> None:
        """Answer a caller, who leaves then."""
        self._callers.add(caller)
        try:
            with caller:
                # Whom `shut` came too early to see.
                if self.listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    counter.serve(caller)
        finally:
            self._callers.discard(caller)
            places.release()


def _keep(door: Door) -> None:
    """Answer at one sandbox's door. In a thread, which may wait: its agent has the door as well,
    and whether accept(2) waits is not ours alone to say."""
    door.listener.setblocking(True)
    places = threading.BoundedSemaphore(AT_ONCE)
    counter: Counter | None = None
    while True:
        places.acquire()
        try:
            caller, _ = door.listener.accept()
            counter = counter or _counter()
        except (OSError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno == errno.EINVAL:  # it has ended
                return
            places.release()
            time.sleep(_PAUSE)
            continue
        _begin(door.serve, counter, caller, places)


def _counter() -> Counter:
    from e2brun.sandbox.local.mirror.counter import Counter, Portion

    total, archive = map(int, sys.argv[3:])
    return Counter(_indexes(), Portion(total, archive))


@cache
def _indexes() -> Indexes:
    from e2brun.sandbox.local.mirror.counter import Indexes
    from e2brun.settings import package_environment

    return Indexes(package_environment())
