"""Where a zygote lives: packages are imported there that nobody has reviewed either.

Namespaces of its own (user, pid, mount, network, ipc, uts), no host process to be seen, no
network, nothing to be written, a filter, and of all rights only that to be another of its 65,536
users, none of whom is anybody on the host: each sandbox is to have a user id of its own. Started
by an ordinary user it has no right at all, and one user.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from e2brun.sandbox.local.isolation import mounts, rootfs, seccomp, spawn, syscalls
from e2brun.sandbox.local.isolation.driver import Jail

_USERS = 65_536
OWNER_OF_MOUNTS = _USERS  # one more of them, whom other zygotes have as well
_ASIDE = "/run"


def move_in(jail: Jail, files: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """Go on in such a place, as a child of this process, which waits for it and ends with it.
    `files` are in the home there, but in no sandbox's.

    Returns what its sandboxes share, as fields of `rootfs.Share`. Raises OSError.
    """
    root = os.geteuid() == 0
    rootfs.enter_namespaces()
    shared = _build(jail, files)
    syscalls.unshare(syscalls.NAMESPACES)
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    mapped_read, mapped_write = os.pipe2(os.O_CLOEXEC)
    pid = syscalls.fork_into(0)  # a C library's handlers would close numbers that are ours now
    if pid != 0:
        os.close(ready_write)
        os.close(mapped_read)
        _wait_for(pid, ready_read, mapped_write, root=root)
    os.close(ready_read)
    os.close(mapped_write)
    _settle(root, ready_write, mapped_read)
    return shared


def _build(jail: Jail, files: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """Put together a root for the zygote, and in one place in it all that its sandboxes share."""
    opened = mounts.opened(rootfs.shares(jail))
    rootfs.lay_out(jail, rootfs.tree(jail, [share for share, _ in opened]))
    root = rootfs.ROOT
    for path, text in files.items():
        os.makedirs(root + os.path.dirname(path), exist_ok=True)
        rootfs.write(root + path, text, os.O_CREAT)
    place = root + spawn.SHARED
    os.mkdir(f"{rootfs.STAGE}/empty")
    syscalls.mount("shared", place, "tmpfs", syscalls.MS_NOTHING, "size=64k,mode=755")
    # Alone: the kernel makes no overlay of a directory with something mounted on it.
    _put(root, place + spawn.SHARED_ROOT)
    syscalls.mount(root, root, None, syscalls.MS_BIND | syscalls.MS_REC)
    shared: list[tuple[str, str, bool]] = []
    for number, (share, descriptor) in enumerate(opened):
        shared_at = f"{spawn.SHARED}/{number}" if share.source else ""
        if share.source:
            os.fchdir(descriptor)
            _put(".", root + shared_at, others=share.divided)
            os.close(descriptor)
        source = root + shared_at if share.source else f"{rootfs.STAGE}/empty"
        syscalls.mount(source, root + share.target, None, syscalls.MS_BIND | syscalls.MS_REC)
        shared.append((shared_at, share.target, share.divided))
    for name in rootfs.DEVICES:
        syscalls.mount(f"/dev/{name}", f"{root}/dev/{name}", None, syscalls.MS_BIND)
    syscalls.mount("/proc", f"{root}/proc", None, syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.change_root(root)
    syscalls.mount("", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    _protect_mounts()
    return shared


def _put(source: str, place: str, *, others: bool = False) -> None:
    os.mkdir(place)
    syscalls.mount(source, place, None, syscalls.MS_BIND | (syscalls.MS_REC if others else 0))


def _protect_mounts() -> None:
    """No set-id bit counts on any mount; nothing but a device is a device, or can be written."""
    for place in rootfs.mount_points():
        if place.startswith("/proc/"):  # each sandbox has its own
            continue
        add = syscalls.MS_NOSUID
        add |= 0 if place.startswith("/dev/") else syscalls.MS_NODEV
        add |= 0 if place == "/proc" else syscalls.MS_RDONLY  # a device is written to all the same
        mounts.add_flags(place, add)


def _wait_for(pid: int, ready: int, mapped: int, *, root: bool) -> NoReturn:
    """In the process outside: say who its users are, and wait for its end."""
    if os.read(ready, 1) and root:
        base = rootfs.users_base(_USERS)
        for kind in ("uid", "gid"):
            users = f"0 {base} {_USERS}\n{OWNER_OF_MOUNTS} {rootfs.OWNER_OF_MOUNTS} 1"
            rootfs.write(f"/proc/{pid}/{kind}_map", users)
        rootfs.become(base)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)  # reset by that
    os.close(mapped)
    os.closerange(3, 1 << 20)  # whoever hangs up is to be noticed inside
    os.waitpid(pid, 0)
    os._exit(0)


def _settle(root: bool, ready: int, mapped: int) -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    # While the host's is to be seen, or an ordinary user would be refused one (fs/namespace.c).
    syscalls.mount("proc", _ASIDE, "proc", syscalls.MS_NOTHING)
    syscalls.unmount("/proc")
    syscalls.mount(_ASIDE, "/proc", None, syscalls.MS_MOVE)
    if root:
        for limit in (resource.RLIMIT_NPROC, resource.RLIMIT_SIGPENDING):
            with suppress(ValueError, OSError):  # of all sandboxes together: each has its own
                resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        # What a user namespace holds is counted for who made it: not for the host's root.
        rootfs.become(rootfs.users_base(1))
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(ready, b"x")
        while os.read(mapped, 1):
            pass
        os.setresgid(0, 0, 0)
        os.setgroups([])
        os.setresuid(0, 0, 0)
        syscalls.drop_capabilities((syscalls.CAP_SETGID, syscalls.CAP_SETUID))
    else:
        rootfs.enter_user_namespace(os.geteuid())
        syscalls.drop_capabilities()
    os.close(ready)
    os.close(mapped)
    # Reset by the change of user: die with who waits for us, and own our /proc/self.
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    syscalls.show_in_proc()
    syscalls.install_filter(seccomp.first_filter())
    sys.dont_write_bytecode = True
