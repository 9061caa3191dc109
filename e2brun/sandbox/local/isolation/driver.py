"""What an isolation driver is asked for, and what it owes: the one small interface behind which
bubblewrap stands, so that a second driver can join."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from e2brun.frozen import Frozen
from e2brun.sandbox.contract import Limits
from e2brun.sandbox.local.agent.descriptors import ready
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.values import Network

AGENT_DIRECTORY = "/opt/e2brun/agent"  # a package; its parent is on the path of our own programs
NODE_DIRECTORY = "/opt/e2brun/node"  # where a node_modules of ours is mounted
CELLS_DIRECTORY = "/opt/e2brun/ipython"  # where IPython is mounted beside other packages
TEMPLATE_DIRECTORY = "/opt/e2brun/template"  # where layers of the template's packages are mounted
CONTROL_FD = 3  # the agent's end of the control socket, inside the sandbox
NICE = 5  # of all that runs in a service's sandboxes: its own work comes first
_END_SECONDS = 2.0  # for the kernel to take a sandbox apart
INDEX_PORT = 49984  # of the loopback inside, where the host answers for the package indexes
_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_id() -> str:
    """A sandbox id as E2B's: `i` and 19 lower-case letters or digits."""
    # 256 is no multiple of 36: the bias costs less than a bit of the 98.
    return "i" + "".join(_ID_ALPHABET[byte % 36] for byte in os.urandom(19))


def agent_code(module: str, call: str) -> str:
    """A program that calls something of the agent's, inside."""
    package, _, name = f"agent.{module}".rpartition(".")
    place = os.path.dirname(AGENT_DIRECTORY)
    return f"import sys; sys.path.insert(0, {place!r}); from {package} import {name}; {name}.{call}"


class Jail(Frozen):
    """One sandbox to be built: which Python, which packages, which limits."""

    sandbox_id: str
    interpreter: Interpreter
    limits: Limits = Limits()
    layer: str | None = None  # host directory mounted as the interpreter's site-packages
    cells_layer: str | None = None  # host directory of IPython, where `layer` may lack it
    network: Network = Network.NONE
    node_layer: str | None = None  # host directory whose node_modules Node.js finds
    notebook: bool = False  # it has IPython, to be imported before the sandbox is made
    directories: tuple[str, ...] = ()  # the user's own, also outside the home
    ahead: tuple[str, ...] = ()  # modules of public packages that a zygote may import beforehand
    template_layers: str | None = None  # host directory with the layers of the template's packages
    mounts: tuple[tuple[str, int], ...] = ()  # where inside, and a detached mount: for one start
    service: bool = False  # nearly all of its root can be written, as by root at E2B

    @property
    def online(self) -> bool:
        """Whether it has a network with a way out."""
        return self.network is Network.INTERNET

    def packed(self) -> dict[str, Any]:
        """As marshal takes it, for `unpacked` in another process."""
        python, limits = vars(self.interpreter), vars(self.limits)
        more = {"interpreter": python, "limits": limits, "network": self.network.value}
        return {**vars(self), **more}

    @classmethod
    def unpacked(cls, what: dict[str, Any]) -> Jail:
        python, limits = Interpreter(**what["interpreter"]), Limits(**what["limits"])
        more: dict[str, Any] = {"interpreter": python, "limits": limits}
        more["network"] = Network(what["network"])
        return cls(**{**what, **more})


class WayOut(NamedTuple):
    """A sandbox's network namespace, and that of users around its owner, in which we may become
    root: as descriptors of ours."""

    network: int
    users: int


class Jailed:
    """A started sandbox as the host holds it: its processes, and its complaints."""

    def __init__(self, launcher: int, complaints: int) -> None:
        """`launcher` is the pid of our direct child, whose death ends the sandbox (-1: it was
        forked, and dies with its control socket, or its zygote); `complaints` a descriptor to read
        what the driver says when it fails."""
        self.launcher, self.complaints = launcher, complaints
        self.agent = -1  # pidfd of its first process, once that has said which it is
        self.children = [launcher] if launcher > 0 else []
        self.lifelines: list[int] = []  # closed, also by our death, end what stands behind it
        self.way_out: WayOut | None = None

    def greeted(self, pid: int) -> None:
        """Its first process has this pid. Raises OSError when it is gone."""
        self.agent = os.pidfd_open(pid)

    @property
    def attended(self) -> bool:
        """Whether all children of ours that it needs are still there."""
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return all(os.waitid(os.P_PID, pid, look) is None for pid in self.children)

    def end(self) -> None:
        """Kill it and everything in it; returns at once."""
        with suppress(ProcessLookupError):
            if self.agent >= 0:
                signal.pidfd_send_signal(self.agent, signal.SIGKILL)
        for pid in self.children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            # bubblewrap's child is told to die with its parent only just before it becomes the
            # agent; until then it is in its parent's group, and would wait there for ever.
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def complaint(self) -> str:
        """The last line the driver wrote about why it could not start, or ''."""
        os.set_blocking(self.complaints, False)
        with suppress(OSError):
            lines = os.read(self.complaints, 65536).decode(errors="replace").strip().splitlines()
            return lines[-1] if lines else ""
        return ""

    def reap(self) -> None:
        """Wait for our children, which are dead or dying, and close what is open."""
        for pid in self.children:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        for descriptor in (self.agent, self.complaints, *self.lifelines, *(self.way_out or ())):
            if descriptor >= 0:
                os.close(descriptor)
        self.agent = self.complaints = -1
        self.children, self.lifelines, self.way_out = [], [], None


def has_ended(agent: int, seconds: float = _END_SECONDS) -> bool:
    """Whether nothing is left in the sandbox whose first process this pidfd is, waiting so long:
    the first process of a pid namespace ends when all others in it have ended."""
    return bool(ready(agent, seconds))


def on_path(name: str) -> str | None:
    """As `shutil.which`, whose module brings three kinds of compression."""
    for directory in os.get_exec_path():
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


class Problem(Frozen):
    """Why a driver cannot work here, and what to do about it."""

    what: str
    remedy: str


class Driver(Protocol):
    """Builds a sandbox around the agent, with the kernel's own means."""

    def start(self, jail: Jail, control: int) -> Jailed:
        """Start the agent inside with `control` as its descriptor 3. Raises SandboxUnavailable.

        Called from a thread that lives as long as the sandbox: Linux ties the parent-death
        signal to the thread that forked.
        """
        ...
