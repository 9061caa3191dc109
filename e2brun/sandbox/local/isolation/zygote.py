"""A warm interpreter that forks itself into sandboxes: no program is started for one.

Runs outside every sandbox, as a process of its own that was started with an empty environment
and has never held anything but this code, the agent's and the packages of its template: whatever
is in its memory can be read by every sandbox it becomes.

Its root is what a sandbox may read, put together once (`confinement`). For each sandbox it forks
a child into new namespaces (`spawn`), their first process, which adds what can be written, gives
up every right and becomes the agent.

What is forked is alike: contexts have the zygote's hash seed and address layout. The seed cannot be
changed once strings are hashed. A program that could see a hash is started, and so has its own; one
that could not is forked as well (`plain_start`).
"""

from __future__ import annotations

import _socket
import gc
import marshal
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.agent.descriptors import received
from e2brun.sandbox.local.isolation import (
    confinement,
    mounts,
    rootfs,
    seccomp,
    spawn,
    syscalls,
)
from e2brun.sandbox.local.isolation.driver import AGENT_DIRECTORY, CELLS_DIRECTORY, Jail

_MESSAGE_LIMIT = 64 * 1024
_MOST_GIVEN = 64  # descriptors in one message
_kept: list[object] = []
# What the agent's operations import: here once instead of in each sandbox.
_AGENT_MODULES = (
    "main", "files.plain", "files.server", "files.watching", "programs.processes",
    "programs.ports", "programs.freezer", "programs.health", "programs.completion",
    "programs.privileges", "programs.demand", "root.sudo_socket", "kernels.contexts",
)  # fmt: skip


def serve(control: _socket.socket, what: dict[str, Any]) -> NoReturn:
    """Become the zygote for what its sandboxes share (a Jail, packed); never returns."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_inheritable(control.fileno(), False)
    jail = Jail.unpacked(what)
    shared = confinement.move_in(jail, {})  # as another process, the first of a pid namespace
    go_on(control, jail, shared)


def go_on(
    control: _socket.socket,
    jail: Jail,
    shared: list[tuple[str, str, bool]],
    prepare: Callable[[Any], None] = lambda _: None,
) -> NoReturn:
    """Be one from here on, and in a child the first process of a sandbox. `prepare` is given
    the agent's main module, before there are any."""
    main = _prepare(jail)
    prepare(main)
    # No sandbox imports them. Not freed: what is freed is written to, and so copied.
    ours = [name for name in sys.modules if name.partition(".")[0] == "e2brun"]
    _kept.extend(sys.modules.pop(name) for name in ours)
    if jail.notebook:
        _of_agent("kernels.contexts").remember_modules()
    shares = [rootfs.Share(*share) for share in shared]
    more = {"shared": shares, "online": jail.online, "tree": rootfs.tree(jail, shares)}
    mounts.covers()  # found once, and kept
    gc.collect()
    gc.freeze()  # collections in the children leave these pages shared
    control.send(b"ready")
    number = 0
    # What one sandbox is told stays in the child that becomes it: all that we ever held can be
    # read by those that come later.
    while first := control.recv(1, _socket.MSG_PEEK):
        number += 1
        # One of the zygote's own users, where it has more than one: all volumes belong to one.
        user = confinement.OWNER_OF_MOUNTS if first == spawn.WITH_MOUNTS else 1 + number % 65_000
        owner = os.geteuid() or user
        life = _fork_sandbox(control, main, more | {"owner": owner})
        if life is not None:
            main.serve(*life)
    os._exit(0)


def _prepare(jail: Jail) -> Any:
    """Import what the sandboxes will need; the agent's main module."""
    # Where e2brun was found cannot be seen any more.
    sys.path[0] = os.path.dirname(AGENT_DIRECTORY)
    for name in _AGENT_MODULES:
        _of_agent(name)
    if jail.notebook and jail.interpreter.purelib:
        _prepare_notebook([jail.interpreter.purelib, CELLS_DIRECTORY], jail.ahead)
    compile("0", "<warm>", "eval")
    for but in ((), ("setns",)):  # outside of a service, and in one
        syscalls.ready_filter(seccomp.last_filter(but=but))
    for program in (seccomp.setns_filter(), seccomp.root_filter()):  # of a service's programs
        _of_agent("child").ready_filter(program)
    return _of_agent("main")


def _of_agent(name: str) -> Any:
    return __import__(f"agent.{name}", fromlist=["*"])


def _prepare_notebook(packages: list[str], ahead: tuple[str, ...]) -> None:
    """Contexts are forked from what we become: let them find their shell made, and imported what
    their code is known to import."""
    notebook = _of_agent("kernels.python.notebook")
    _of_agent("kernels.contexts").prepare()
    sys.path += packages
    with suppress(ImportError):  # a layer without IPython
        notebook.prepare()
    if ahead:
        _of_agent("kernels.python.ahead").import_ahead(ahead, HOME)
        _end_threads()
    del sys.path[-len(packages) :]  # each context looks for its packages itself


def _end_threads() -> None:
    """What was imported may have started threads (numpy's OpenBLAS), which no fork has. They end by
    a handler of the C library's fork(3); the clone that makes a sandbox calls none, and the first
    fork in it would wait for them for ever."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _fork_sandbox(control: _socket.socket, main: Any, more: dict[str, Any]) -> spawn.Life | None:
    """A sandbox. Returns in its first process too: what the agent is to serve with."""
    taken_read, taken_write = os.pipe2(os.O_CLOEXEC)
    try:
        pid = spawn.fork(more["owner"], online=more["online"])
    except OSError as error:  # too many processes: that is no reason to end all sandboxes
        _turn_away(control, error)
        os.close(taken_read)
        os.close(taken_write)
        return None
    if pid == 0:
        try:
            message, given = received(control, _MESSAGE_LIMIT, _MOST_GIVEN)
            request = marshal.loads(message[1:])
            os.write(taken_write, b"x")
            control.close()
        except BaseException:
            os._exit(125)
        return spawn.live(main, request | more, given)
    os.close(taken_write)
    if not os.read(taken_read, 1):
        _turn_away(control, OSError(0, "the request was not understood"))
    os.close(taken_read)
    while True:  # sandboxes that have ended since
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return None
        except ChildProcessError:
            return None


def _turn_away(control: _socket.socket, error: OSError) -> None:
    """Whoever asked sees the other end of their socket closed, and this reason."""
    _, given = received(control, _MESSAGE_LIMIT, _MOST_GIVEN)
    os.write(given[1], f"e2brun: {error.strerror}\n".encode(errors="replace"))
    for descriptor in given:
        os.close(descriptor)
