"""A fork of the zygote as the first process of a sandbox: namespaces, mounts, no rights."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Sequence
from typing import Any

from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.isolation import mounts, rootfs, rtnetlink, syscalls
from e2brun.sandbox.local.isolation.driver import CONTROL_FD, NICE

SHARED = "/mnt"  # in the zygote's root: what sandboxes share, each thing with nothing mounted on it
SHARED_ROOT = "/root"
# How a request begins: a sandbox whose mounts come with it belongs to another user.
WITHOUT_MOUNTS, WITH_MOUNTS = b"s", b"m"
_VIEWS = ("/proc", HOME, "/dev/shm")
# What the agent's `serve` is called with.
Life = tuple[int, int, bytes, bytes, tuple[int, ...], dict[str, bytes]]


def fork(owner: int, *, online: bool) -> int:
    """Like os.fork; the child is the first process of new namespaces that belong to `owner`. Who
    is `online` gets a network later. Raises OSError."""
    root = os.geteuid() == 0
    if root:  # a user namespace belongs to whoever makes it
        os.setresgid(-1, owner, -1)
        os.setresuid(-1, owner, -1)
    try:
        kinds = syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.NAMESPACES
        pid = syscalls.fork_into(kinds & ~syscalls.CLONE_NEWNET if online else kinds)
    except OSError:
        _be_root_again(root)
        raise
    if pid != 0:
        _be_root_again(root)
    return pid


def _be_root_again(root: bool) -> None:
    if root:
        os.setresuid(-1, 0, -1)
        os.setresgid(-1, 0, -1)
        # Both reset by a change of user.
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.show_in_proc()


def live(main: Any, request: dict[str, Any], given: Sequence[int]) -> Life:
    """In the child: be a sandbox's pid 1. Everything that needs a right, then none is left.
    `given`: the host's end, a place for complaints, detached mounts."""
    control, complaints, *detached = given
    try:
        os.setsid()
        os.dup2(complaints, 2)
        return _settle(main, request, control, detached)
    except BaseException as error:
        try:
            os.write(2, f"e2brun: {error}\n".encode(errors="replace"))
        finally:
            os._exit(125)


def _settle(main: Any, request: dict[str, Any], control: int, detached: list[int]) -> Life:
    service, online = request["own"]["service"], request["online"]
    user = 0 if online else rootfs.SANDBOX_UID  # see `slirp4netns`
    syscalls.show_in_proc()
    rootfs.name_only_user(user, (request["owner"], request["owner"]))
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    own, tree = request["own"], request["tree"]
    _mount_own(own, tree, request["shared"], detached)
    syscalls.set_hostname(own["sandbox_id"])
    if online:
        network = syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS
        rootfs.enter_user_namespace(rootfs.SANDBOX_UID, network)
    root_namespace = _root_namespace(main, request) if service else -1
    rootfs.prepare_network()
    if online:
        rtnetlink.close(rtnetlink.Network(*network) for network in request["closed"])
    nested = not service and not online
    rootfs.limit_namespace(user_namespaces=1 if nested else 0)
    mounts.add_flags("/proc/sys", syscalls.MS_RDONLY)
    if nested:  # as bwrap has it: the limits are those of the namespace around ours
        rootfs.enter_user_namespace(user)
    syscalls.drop_capabilities()
    if service:
        os.nice(NICE)
    syscalls.install_filter(request["filter"])
    _keep_only(control, root_namespace)
    os.chdir(HOME)
    views = tuple(os.open(place, os.O_RDONLY | os.O_CLOEXEC) for place in _VIEWS)
    filters = request["user_filter"], request["root_filter"]
    first = rootfs.of_its_own(tree, own["sandbox_id"]).files if service else {}
    return CONTROL_FD, CONTROL_FD + 1 if service else -1, *filters, views, first


def _root_namespace(main: Any, request: dict[str, Any]) -> int:
    """A user namespace below the sandbox's, in which its only user is called root."""
    # What we may have when it is made is what all in it may ever have: or root's programs
    # would be counted for themselves, beside the user's.
    main.limit(request["user_limits"])
    pid = syscalls.idle_in(syscalls.CLONE_NEWUSER)
    try:
        rootfs.name_only_user(0, (os.geteuid(), os.getegid()), process=str(pid))
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _mount_own(
    own: mounts.Own, tree: rootfs.Tree, shared: list[rootfs.Share], detached: list[int]
) -> None:
    """What this sandbox sees, and of it what only a process of its namespaces can make: /proc."""
    root = os.open(SHARED + SHARED_ROOT, os.O_PATH | os.O_CLOEXEC)
    mounts.assemble(own, root, tree, mounts.opened(shared), detached)
    proc = f"{mounts.TOP}/proc"
    syscalls.mount("proc", proc, "proc", syscalls.MS_NOTHING)
    syscalls.mount(f"{proc}/sys", f"{proc}/sys", None, syscalls.MS_BIND | syscalls.MS_REC)
    for source, place in mounts.covers():
        mounts.bind_read_only(source, mounts.TOP + place)
    syscalls.change_root(mounts.TOP)


def _keep_only(control: int, root_namespace: int) -> None:
    """Descriptors: 0, 1 and 2 lead nowhere, 3 is the host, 4 the namespace for root, if any."""
    kept = [control, root_namespace] if root_namespace >= 0 else [control]
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in kept]
    null = os.open("/dev/null", os.O_RDWR)
    for target, source in enumerate((null, null, null, *high)):
        os.dup2(source, target, inheritable=target < CONTROL_FD)
    os.closerange(CONTROL_FD + len(kept), 1 << 20)
