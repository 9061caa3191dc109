"""From a forked child of ours, whose stderr is for complaints, to bubblewrap: the tree that a
sandbox sees, the filters, no right."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.isolation import mounts, rootfs, syscalls
from e2brun.sandbox.local.isolation.driver import CONTROL_FD, NICE, Jail, agent_code
from e2brun.sandbox.local.isolation.launching import FIRST_WORDS, be_expendable, memory_file, place
from e2brun.sandbox.local.isolation.seccomp import first_filter, last_filter

if TYPE_CHECKING:
    from collections.abc import Collection

    from e2brun.sandbox.local.isolation.rtnetlink import Network

_ARGS_FD, _FILTER_FDS, _FIRST_MOUNT_FD = 5, (6, 7), 8
_NAMESPACES = 16  # of users: bubblewrap nests some, and so does what stands behind --network
_AGENT = agent_code("main", f"serve({CONTROL_FD})").encode()


def get_ready() -> None:
    """What is the same for every sandbox. Raises OSError."""
    rootfs.compile_agent()
    be_expendable()
    rootfs.enter_namespaces()
    # From here bwrap takes /proc/sys: with the flags that a /proc of its own has.
    mounts.add_flags("/proc", syscalls.MS_NOTHING)
    if os.geteuid() != 0:
        rootfs.limit_namespace(user_namespaces=_NAMESPACES)


def build(bwrap: str, jail: Jail, control: int, owner: int) -> NoReturn:
    """Build the tree, give up every right, become bubblewrap. Raises OSError."""
    closed = rootfs.closed_networks(jail)  # while our modules can be found
    # The same two filters that a forked sandbox lives behind.
    filters = [memory_file("filter", make()) for make in (first_filter, last_filter)]
    code = memory_file("code", _AGENT)
    arguments = memory_file("arguments", b"\0".join(_arguments(jail)))
    # 2 the complaints, 3 control, 4 code, 5 arguments, 6 and 7 the filters, from 8 on mounts
    place((2, control, code, arguments, *filters, *(mount for _, mount in jail.mounts)))
    detached = range(_FIRST_MOUNT_FD, _FIRST_MOUNT_FD + len(jail.mounts))
    shared = mounts.opened(rootfs.shares(jail))
    tree = rootfs.tree(jail, [share for share, _ in shared])
    rootfs.lay_out(jail, tree)
    root = os.open(rootfs.ROOT, os.O_PATH)
    own = mounts.own(jail, owner if os.geteuid() == 0 else -1)
    mounts.assemble(own, root, tree, shared, detached)
    rootfs.become(owner)
    if jail.service:
        os.nice(NICE)
    syscalls.show_in_proc()  # who gave up root may not even see its own files there
    _enter_network(closed)
    command = [bwrap, "--args", str(_ARGS_FD), "--", jail.interpreter.executable]
    os.execve(bwrap, [*command, *FIRST_WORDS], {})


def _enter_network(closed: Collection[Network]) -> None:
    """A new one: as in a forked sandbox, the host's root's neither."""
    if closed:
        rootfs.enter_user_namespace(0)  # see `slirp4netns`
    rootfs.enter_user_namespace(rootfs.SANDBOX_UID, syscalls.CLONE_NEWNET)
    rootfs.prepare_network()
    if closed:
        from e2brun.sandbox.local.isolation import rtnetlink

        rtnetlink.close(closed)


def _arguments(jail: Jail) -> list[bytes]:
    # Of capabilities and environment it is started with none: said all the same, whatever a
    # version of bubblewrap passes on.
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
