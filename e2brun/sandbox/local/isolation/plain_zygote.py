"""From the hook that `plain_start` has set to a zygote, and in a program back."""

from __future__ import annotations

import _socket
import marshal
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from e2brun.sandbox.local.isolation import syscalls, zygote
from e2brun.sandbox.local.isolation.driver import CONTROL_FD, Jail
from e2brun.sandbox.local.isolation.launching import FIRST_WORDS
from e2brun.sandbox.local.isolation.plain_start import CODE_FD, FACTS_FD

# What many small programs import: it is there when they do. Nothing that starts with a seed, or
# wants to be told of a fork.
_AHEAD = (
    "typing", "math", "re", "string", "collections", "functools", "itertools", "heapq", "bisect",
    "operator", "copy", "contextlib", "enum", "abc",
)  # fmt: skip
_KEPT = (
    "agent", "agent.main", "agent.files", "agent.files.plain", "agent.programs",
    "agent.programs.completion", "_ctypes", "resource",
)  # fmt: skip  # of the agent's modules; it looks for others where they are


def take_over(hook: Callable[..., object], before: dict[str, ModuleType], name: str) -> None:
    """Called by the hook: be a zygote. Returns in a program, for Python to go on with it."""
    del sys.path[0], before["usercustomize"]
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    with open(FACTS_FD, "rb") as file:
        what, shared = marshal.load(file)  # from `become`
    os.close(CODE_FD)
    jail = Jail.unpacked(what)
    control = _socket.socket(fileno=CONTROL_FD)
    os.set_inheritable(CONTROL_FD, False)

    def prepare(main: Any) -> None:
        warm: Any = __import__("agent.programs.warm", fromlist=["*"])
        if warm.can_rewrite(name):
            found = main.warm = warm.Warm(hook, name, path)
            found.show([jail.interpreter.executable, *FIRST_WORDS])
            found.settle(before, _AHEAD, _KEPT)
            found.rehearse()
            before.clear()

    path = sys.path[:]
    # Of the first process of a sandbox: not where packages are.
    sys.path[:] = ["", *(place for place in path[1:] if _is_of_python(place))]
    try:
        zygote.go_on(control, jail, shared, prepare)
    except BaseException as error:
        if type(error).__name__ != "Begin":
            raise


def _is_of_python(place: str) -> bool:
    return place.startswith(sys.base_prefix) and not place.endswith("-packages")
