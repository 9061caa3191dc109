"""The isolation driver behind which stands bubblewrap (0.8 or later).

What bubblewrap is given travels by descriptors: its arguments would be readable inside as
/proc/1/cmdline, its environment as /proc/1/environ.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local import mounts, staging, syscalls
from e2brun.sandbox.local.jail import AGENT_DIRECTORY, CONTROL_FD, Jail, Jailed, Problem
from e2brun.sandbox.local.mounts import Own
from e2brun.sandbox.local.seccomp import first_filter, last_filter
from e2brun.sandbox.local.spawning import in_lasting_thread

if TYPE_CHECKING:
    from e2brun.sandbox.local.network import Uplink

INSTALL = "Install it: apt-get update && apt-get install -y bubblewrap"
OLDEST = (0, 8)
_CODE_FD, _ARGS_FD, _FILTER_FDS, _UPLINK_FD = 4, 5, (6, 7), 8
# Both drivers start Python like this: the command line can be read inside, as /proc/1/cmdline.
FIRST_WORDS = ("-I", "-S", "-c", f"exec(open({_CODE_FD}, 'rb').read())")
_FIRST_TO_GO = "1000"  # proc(5), oom_score_adj
_NAMESPACES = 16  # of users: bubblewrap nests some, and so does what stands behind --network
_AGENT = (
    f"import sys; sys.path.insert(0, {AGENT_DIRECTORY!r}); import main; main.serve({CONTROL_FD})"
).encode()


class Bubblewrap:
    """Builds sandboxes with `bwrap`, as root or as an ordinary user."""

    name = "bubblewrap"

    def __init__(self, executable: str | None = None) -> None:
        self._executable = executable or shutil.which("bwrap")

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
        uplink = _uplink() if jail.network else None
        code = memory_file("code", _AGENT)
        arguments = memory_file("arguments", b"\0".join(_arguments(jail)))
        # The same two that a forked sandbox lives behind.
        filters = [memory_file("filter", make()) for make in (first_filter, last_filter)]
        complaints, complain = os.pipe()
        owner = staging.sandbox_owner()
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
    from e2brun.sandbox.local.network import Uplink

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
        staging.enter_namespaces()
        # From here bwrap takes /proc/sys: with the flags that a /proc of its own has.
        mounts.add_flags("/proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
        if not root:
            staging.limit_namespace(user_namespaces=_NAMESPACES)
        shared = mounts.opened(staging.shares(jail))
        staging.lay_out(jail, [share for share, _ in shared])
        tree = os.open(staging.ROOT, os.O_PATH)
        mounts.assemble(own(jail, owner if root else -1), tree, shared)
        staging.become(owner)
        syscalls.show_in_proc()  # who gave up root may not even see its own files there
        if uplink is not None:
            uplink.plug_in(_UPLINK_FD)
        else:
            # As in a forked sandbox, whose network is not the host's root's either.
            staging.enter_user_namespace(staging.SANDBOX_UID, syscalls.CLONE_NEWNET)
            staging.prepare_network()
        command = [bwrap, "--args", str(_ARGS_FD), "--", jail.interpreter.executable]
        os.execve(bwrap, [*command, *FIRST_WORDS], {})  # noqa: S606
    except BaseException as error:  # noqa: BLE001  # a forked child must not return into its parent
        os.write(2, f"e2brun: {error}\n".encode(errors="replace"))
        os._exit(125)


def place(descriptors: tuple[int, ...]) -> None:
    """In a forked child: 0 and 1 from /dev/null, these from 2 on, and no other."""
    end = 2 + len(descriptors)
    # Out of the way first, on numbers the kernel knows to be free: a target may be a source.
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, end) for descriptor in descriptors]
    null = os.open("/dev/null", os.O_RDWR)
    for target, source in enumerate((null, null, *high)):
        os.dup2(source, target)
    os.closerange(end, 1 << 20)


def be_expendable() -> None:
    """In a forked child: what becomes of us is the first to go when memory is short, and leaves
    no core. With a core size of 0 the kernel still starts the program that core_pattern names, as
    root and outside (core(5)); 1 is the value at which it does not."""
    import resource

    staging.write("/proc/self/oom_score_adj", _FIRST_TO_GO)
    with suppress(OSError):  # no keys in this kernel, or too many: keyctl is refused inside
        syscalls.leave_keyring()
    with suppress(ValueError, OSError):  # the caller's own hard limit is 0
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def memory_file(name: str, content: bytes) -> int:
    """A descriptor to read this from."""
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _version(executable: str) -> str:
    import subprocess

    try:
        result = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
    return result.stdout.split()[-1] if result.stdout.split() else "unknown"
