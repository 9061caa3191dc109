"""The mirror's process: a counter for each sandbox, and little imported before one is asked.

It is the host's, and so holds credentials. A sandbox only ever says the name of a project or of one
of its files; what an index says is text to be read.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from e2brun.sandbox.local.mirror.counter import Counter, Indexes

AT_ONCE = 16  # requests of one sandbox; others wait in its backlog
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
            message, given, _, _ = socket.recv_fds(host, 16, 2)
            if not message:
                os._exit(0)
            listener, lifeline = given
            doors[lifeline] = Door(socket.socket(fileno=listener))
            waiting.register(lifeline, 0)
            threading.Thread(target=_keep, args=(doors[lifeline],), daemon=True).start()


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
        except OSError as error:
            if error.errno == errno.EINVAL:  # it has ended
                return
            places.release()
            time.sleep(_PAUSE)
            continue
        counter = counter or _counter()
        threading.Thread(target=door.serve, args=(counter, caller, places), daemon=True).start()


def _counter() -> Counter:
    from e2brun.sandbox.local.mirror.counter import Counter, Portion

    total, archive = map(int, sys.argv[3:])
    return Counter(_indexes(), Portion(total, archive))


@cache
def _indexes() -> Indexes:
    from e2brun.sandbox.local.mirror.counter import Indexes
    from e2brun.settings import package_environment

    return Indexes(package_environment())
