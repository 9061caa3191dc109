"""The driver that keeps a zygote: sandboxes are forked from a warm interpreter, in milliseconds.

What it builds is what bubblewrap builds (`spawn` and `rootfs` say how), with the agent's code
already loaded. Where it cannot work, bubblewrap can: an old Python, or one in the home, packages
without a place of their own.
"""

from __future__ import annotations

import gc
import marshal
import os
import signal
from _thread import allocate_lock
from contextlib import suppress
from functools import partial
from typing import NoReturn

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.agent.descriptors import hand_over, ready
from e2brun.sandbox.local.isolation import mounts, plain_start, rootfs, spawn, syscalls
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Driver, Jail, Jailed
from e2brun.sandbox.local.isolation.environment import resource_limits
from e2brun.sandbox.local.isolation.forking import fork_python
from e2brun.sandbox.local.isolation.launching import (
    FIRST_WORDS,
    be_expendable,
    place,
)
from e2brun.sandbox.local.isolation.seccomp import last_filter, root_filter, setns_filter
from e2brun.values import Network

_START_SECONDS = 30.0
# Counted for all processes of a user together, and in each user namespace (getrlimit(2)).
_BY_USER = ("RLIMIT_NPROC", "RLIMIT_SIGPENDING")
_ZYGOTE = (
    b"import _socket, marshal, sys; host = _socket.socket(fileno=3); "
    b"where, what = marshal.loads(host.recv(65536)); sys.path.insert(0, where); "
    b"from e2brun.sandbox.local.isolation import zygote; zygote.serve(host, what)"
)
# Fields of a Jail. What is imported ahead is a help only: the first one's.
_SHARED = ("layer", "cells_layer", "node_layer", "template_layers", "notebook")


class Forkserver:
    """Builds sandboxes out of zygotes, one for each template; falls back to `other`."""

    def __init__(self, other: Driver | None = None) -> None:
        self._other = other or Bubblewrap()
        self._zygotes: dict[Jail, _Zygote] = {}
        self._failed: set[Jail] = set()  # those whose zygote never came up
        self._lock = allocate_lock()
        self._closed = False

    def can(self, jail: Jail) -> bool:
        """Whether a zygote can become this sandbox."""
        python = jail.interpreter
        return (
            python.version >= (3, 11, 0)
            and not python.prefix.startswith(f"{HOME}/")
            and (jail.layer is None or python.purelib is not None)
        )

    def ready(self, jail: Jail) -> bool:
        """Whether a zygote stands ready for sandboxes like this one; if not, it soon will."""
        if not self.can(jail) or _template(jail) in self._failed:
            return False
        with self._lock:
            try:
                return self._zygote(jail).ready(0)
            except SandboxUnavailable:  # the other driver says why, if it cannot either
                self._failed.add(_template(jail))
                return False

    def start(self, jail: Jail, control: int) -> Jailed:
        """Start the agent inside, with `control` as its descriptor 3. Raises SandboxUnavailable."""
        if not self.can(jail):
            return self._other.start(jail, control)
        with self._lock:
            try:
                return self._zygote(jail).start(jail, control)
            except OSError:  # it has died since
                if (dead := self._zygotes.pop(_template(jail), None)) is not None:
                    dead.close()
                return self._zygote(jail).start(jail, control)

    def pids(self) -> list[int]:
        """The zygotes."""
        return [zygote.jailed.launcher for zygote in self._zygotes.values()]

    def close(self) -> None:
        """End the zygotes, and with them every sandbox that came of one. There will be no more: a
        thread that still asks would leave one behind."""
        self._closed = True
        while self._zygotes:
            with suppress(KeyError):  # another thread was faster
                self._zygotes.popitem()[1].close()

    def _zygote(self, jail: Jail) -> _Zygote:
        template = _template(jail)
        found = self._zygotes.get(template)
        if found is None and not self._closed:
            found = self._zygotes[template] = _Zygote(template.but(ahead=jail.ahead))
        if found is None or self._closed:  # perhaps meanwhile
            self.close()
            raise SandboxUnavailable("the sandbox did not start: its backend is closed")
        return found


def _template(jail: Jail) -> Jail:
    """What it shares with others."""
    network = jail.network if jail.online else Network.NONE  # what the root shows
    shared = {name: getattr(jail, name) for name in _SHARED}
    return Jail("template", jail.interpreter, network=network, **shared)


class _Zygote:
    """The host's end of one zygote."""

    def __init__(self, template: Jail) -> None:
        self._ready = False
        self._filters = {  # the same for every sandbox, and not for nothing; in a service or not
            False: {"filter": last_filter(), "user_filter": b"", "root_filter": b""},
            True: {
                "filter": last_filter(but=("setns",)),
                "user_filter": setns_filter(),
                "root_filter": root_filter(),
            },
        }
        self._socket, self.jailed = fork_python(_ZYGOTE, partial(_launch, template))
        here = os.path.dirname(os.path.abspath(__file__))
        parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(here))))
        # Not as arguments: those can be read in every sandbox, as /proc/1/cmdline.
        if not plain_start.is_worth_it(template):
            with suppress(OSError):  # it has failed, and complained
                self._socket.send(marshal.dumps([parent, template.packed()]))

    def start(self, jail: Jail, control: int) -> Jailed:
        """Ask for one sandbox. Raises OSError when the zygote is dead, SandboxUnavailable when
        it never came up."""
        if not self.ready(_START_SECONDS):
            raise SandboxUnavailable("the sandbox did not start: it did not answer")
        found = resource_limits(jail)
        request = {
            "own": mounts.own(jail),
            "closed": [tuple(network) for network in rootfs.closed_networks(jail)],
            "user_limits": {name: most for name, most in found.items() if name in _BY_USER},
            **self._filters[jail.service],
        }
        complaints, complain = os.pipe2(os.O_CLOEXEC)
        descriptors = [control, complain, *(one for _, one in jail.mounts)]
        first = spawn.WITH_MOUNTS if jail.mounts else spawn.WITHOUT_MOUNTS
        try:
            hand_over(self._socket, [first, marshal.dumps(request)], descriptors)
        except OSError:
            os.close(complaints)
            raise
        finally:
            os.close(complain)
        return Jailed(-1, complaints)

    def ready(self, seconds: float) -> bool:
        """Whether it is up, waiting so long. Raises SandboxUnavailable when it never will be."""
        if not self._ready:
            if not ready(self._socket.fileno(), seconds):
                return False
            if self._socket.recv(16) != b"ready":
                reason = self.jailed.complaint() or "it ended"
                raise SandboxUnavailable(f"the sandbox did not start: {reason}")
            self._ready = True
        return True

    def close(self) -> None:
        """End it and all that came of it."""
        self._socket.close()
        with suppress(ProcessLookupError):
            os.kill(self.jailed.launcher, signal.SIGKILL)
        self.jailed.reap()


def _launch(template: Jail, given: tuple[int, ...]) -> NoReturn:
    """In the child: become a Python that knows nothing of ours."""
    gc.disable()  # the numbers of what our caller had open are others' soon: no second close
    be_expendable()
    place(given)  # 2 the complaints, 3 the socket, 4 the code
    if plain_start.is_worth_it(template):
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        plain_start.become(template)
    python = template.interpreter.executable
    os.execve(python, [python, *FIRST_WORDS], {"PWD": HOME})  # as bwrap has it
