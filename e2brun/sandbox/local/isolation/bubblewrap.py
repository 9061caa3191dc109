"""The isolation driver behind which stands bubblewrap (0.8 or later).

What bubblewrap is given travels by descriptors: its arguments would be readable inside as
/proc/1/cmdline, its environment as /proc/1/environ.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.isolation import mounts, rootfs, syscalls
from e2brun.sandbox.local.isolation.compiled import compile_agent
from e2brun.sandbox.local.isolation.driver import CONTROL_FD, Jail, Jailed, Problem, agent_code
from e2brun.sandbox.local.isolation.launching import (
    FIRST_WORDS,
    be_expendable,
    in_lasting_thread,
    memory_file,
    place,
)
from e2brun.sandbox.local.isolation.mounts import Own
from e2brun.sandbox.local.isolation.seccomp import first_filter, last_filter

if TYPE_CHECKING:
    from e2brun.sandbox.local.isolation.slirp4netns import Uplink

INSTALL = "Install it: apt-get update && apt-get install -y bubblewrap"
OLDEST = (0, 8)
_ARGS_FD, _FILTER_FDS, _UPLINK_FD = 5, (6, 7), 8
_NAMESPACES = 16  # of users: bubblewrap nests some, and so does what stands behind --network
_AGENT = agent_code("main", f"serve({CONTROL_FD})").encode()


class Bubblewrap:
    """Builds sandboxes with `bwrap`, as root or as an ordinary user."""

    name = "bubblewrap"

    def __init__(self, executable: str | None = None) -> None:
        self._executable = executable or _on_path("bwrap")

    def problem(self) -> Problem | None:
        """Why it cannot work here, as far as can be told without starting one."""
        if sys.platform != "linux":
            return Problem("the embedded sandbox needs Linux", "Set E2B_API_KEY to run on E2B.")
        if self._executable is None:
            return Problem("bubblewrap (bwrap) is not installed", INSTALL)
        return None

    def facts(self) -> Mapping[str, str]:
        """Path and version of bwrap."""
        if self._executable is None:
            return {}
        return {"path": self._executable, "version": _version(self._executable)}

    def start(self, jail: Jail, control: int) -> Jailed:
        """Start the agent inside, with `control` as its descriptor 3."""
        problem = self.problem()
        if problem is not None or self._executable is None:
            problem = problem or Problem("bubblewrap is not installed", INSTALL)
            raise SandboxUnavailable(problem.what, hint=problem.remedy)
        compile_agent()
        uplink = _uplink() if jail.network else None
        code = memory_file("code", _AGENT)
        arguments = memory_file("arguments", b"\0".join(_arguments(jail)))
        # The same two that a forked sandbox lives behind.
        filters = [memory_file("filter", make()) for make in (first_filter, last_filter)]
        complaints, complain = os.pipe()
        owner = rootfs.sandbox_owner()
        bwrap, given = self._executable, (complain, control, code, arguments, *filters)

        def fork() -> int:
            pid = os.fork()
            if pid == 0:
                _launch(bwrap, jail, owner, given, uplink)
            return pid

        pid = in_lasting_thread(fork)
        for descriptor in (code, arguments, *filters, complain):
            os.close(descriptor)
        jailed = Jailed(pid, complaints)
        if uplink is not None:
            uplink.attach(jailed, owner)
        return jailed


def own(jail: Jail, owner: int = -1) -> Own:
    """What this sandbox is to have for itself alone."""
    random = os.urandom(16).hex()
    boot_id = "-".join(random[start:end] for start, end in pairwise((0, 8, 12, 16, 20, 32)))
    limits = jail.limits
    return {
        "sandbox_id": jail.sandbox_id,
        "boot_id": boot_id,
        "disk": limits.disk,
        "inodes": limits.inodes,
        "memory": limits.memory,
        "service": jail.service,
        "directories": jail.directories,
        "owner": owner,
    }


def _arguments(jail: Jail) -> list[bytes]:
    words = ["--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"]
    words += ["--share-net"]  # with the launcher, whose network is a new one
    words += ["--disable-userns", "--die-with-parent", "--new-session", "--as-pid-1"]
    words += ["--cap-drop", "ALL", "--clearenv", "--hostname", jail.sandbox_id]
    words += ["--dev-bind", mounts.TOP, "/", "--proc", "/proc"]
    # Settings of the sandbox's own namespaces (fs/mqueue, kernel/pid_max, ...) belong to its user.
    words += ["--ro-bind", "/proc/sys", "/proc/sys"]
    for source, inside in mounts.covers():
        words += ["--ro-bind", source, inside]
    words += ["--chdir", HOME]
    for filter_fd in _FILTER_FDS:
        words += ["--add-seccomp-fd", str(filter_fd)]
    return [os.fsencode(word) for word in words]


def _uplink() -> Uplink:
    from e2brun.sandbox.local.isolation.slirp4netns import Uplink

    return Uplink()


def _launch(
    bwrap: str, jail: Jail, owner: int, descriptors: tuple[int, ...], uplink: Uplink | None
) -> NoReturn:
    """In the child: build the tree, give up every right, become bubblewrap."""
    try:
        os.setsid()  # the terminal's Ctrl-C is for e2brun, which then ends the sandbox
        be_expendable()
        # 2 the complaints, 3 control, 4 code, 5 arguments, 6 and 7 the filters, 8 the way out
        place(descriptors if uplink is None else (*descriptors, uplink.far_end))
        root = os.geteuid() == 0
        rootfs.enter_namespaces()
        # From here bwrap takes /proc/sys: with the flags that a /proc of its own has.
        mounts.add_flags("/proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
        if not root:
            rootfs.limit_namespace(user_namespaces=_NAMESPACES)
        shared = mounts.opened(rootfs.shares(jail))
        rootfs.lay_out(jail, [share for share, _ in shared])
        tree = os.open(rootfs.ROOT, os.O_PATH)
        mounts.assemble(own(jail, owner if root else -1), tree, shared)
        rootfs.become(owner)
        syscalls.show_in_proc()  # who gave up root may not even see its own files there
        if uplink is not None:
            uplink.plug_in(_UPLINK_FD)
        else:
            # As in a forked sandbox, whose network is not the host's root's either.
            rootfs.enter_user_namespace(rootfs.SANDBOX_UID, syscalls.CLONE_NEWNET)
            rootfs.prepare_network()
        command = [bwrap, "--args", str(_ARGS_FD), "--", jail.interpreter.executable]
        os.execve(bwrap, [*command, *FIRST_WORDS], {})  # noqa: S606
    except BaseException as error:  # noqa: BLE001  # a forked child must not return into its parent
        os.write(2, f"e2brun: {error}\n".encode(errors="replace"))
        os._exit(125)


def _on_path(name: str) -> str | None:
    """As `shutil.which`, whose module brings three kinds of compression."""
    for directory in os.get_exec_path():
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _version(executable: str) -> str:
    import subprocess

    try:
        result = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
    return result.stdout.split()[-1] if result.stdout.split() else "unknown"
