"""A warm interpreter that forks itself into sandboxes: no program is started for one.

Runs outside every sandbox, as a process of its own that was started with an empty environment
and has never held anything but this code, the agent's and the packages of its template: whatever
is in its memory can be read by every sandbox it becomes.

It lives in a `house` whose root is what a sandbox may read, put together once. For each sandbox it forks a child into new namespaces (`birth`), whose first process adds what can be
written, gives up every right and becomes the agent.
"""

from __future__ import annotations

import _socket
import array
import gc
import marshal
import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

from e2brun.sandbox.local import birth, house, syscalls
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.jail import AGENT_DIRECTORY, Jail

_MESSAGE_LIMIT = 64 * 1024
# What the agent's operations import: here once instead of in each sandbox.
_AGENT_MODULES = (
    "main", "files", "ports", "freezer", "processes", "privileges", "sudo_door", "fileserver",
    "watching", "contexts",
)  # fmt: skip


def serve(control: _socket.socket, python: dict[str, Any], *what: Any) -> NoReturn:
    """Become the zygote for an interpreter (its fields), its layer, Node's, and whether to have a
    notebook's shell ready; never returns."""
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_inheritable(control.fileno(), False)
    layer, node_layer, notebook = what
    jail = Jail(
        "template", Interpreter(**python), layer=layer, node_layer=node_layer, notebook=notebook
    )
    below = house.move_in(jail)  # as another process, the first of a pid namespace
    main = _prepare(jail)
    control.send(b"ready")
    number = 0
    while True:
        message, ancillary, _, _ = control.recvmsg(
            _MESSAGE_LIMIT, _socket.CMSG_SPACE(4 * 4), _socket.MSG_CMSG_CLOEXEC
        )
        if not message:
            os._exit(0)
        given = array.array("i")
        for _, _, data in ancillary:
            given.frombytes(data)
        request = marshal.loads(message)  # noqa: S302  # from the host, which is trusted
        number += 1
        request |= {"below": below, "owner": 1 + number % 65_000}  # of the zygote's own users
        _bear(control, main, request, given)
        for descriptor in given:
            os.close(descriptor)


def _prepare(jail: Jail) -> Any:
    """Import what the sandboxes will need; the agent's main module."""
    sys.path[0] = AGENT_DIRECTORY  # where e2brun was found cannot be seen any more
    for name in _AGENT_MODULES:
        __import__(name)
    if jail.notebook and jail.interpreter.purelib:
        _prepare_notebook(jail.interpreter.purelib)
    compile("0", "<warm>", "eval")
    gc.collect()
    gc.freeze()  # collections in the children leave these pages shared
    return sys.modules["main"]


def _prepare_notebook(packages: str) -> None:
    """Contexts are forked from what we become: let them find their shell made."""
    notebook: Any = __import__("notebook")
    contexts: Any = __import__("contexts")
    contexts.prepare()
    sys.path.append(packages)
    with suppress(ImportError):  # a layer without IPython
        notebook.prepare()
    sys.path.remove(packages)  # each context looks for its packages itself


def _bear(
    control: _socket.socket, main: Any, request: dict[str, Any], given: array.array[int]
) -> None:
    agent_end, complaints = given
    go_read, go_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        control.close()
        os.close(go_write)
        birth.give_birth(main, request, (agent_end, complaints, go_read))
    os.close(go_read)
    # The child's child is ours from the moment it has ended: only then may it ask to die with us.
    os.waitpid(pid, 0)
    os.close(go_write)
    while True:  # sandboxes that have ended since
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return
