"""The few system calls the standard library of Python 3.11 has no function for."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import struct

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_CLONE_NEWPID, _CLONE_NEWIPC, _CLONE_NEWUTS, _CLONE_NEWCGROUP = (
    0x20000000, 0x08000000, 0x04000000, 0x02000000,
)  # fmt: skip
# What a sandbox has of its own beside its users and mounts; bwrap calls it --unshare-all.
NAMESPACES = CLONE_NEWNET | _CLONE_NEWPID | _CLONE_NEWIPC | _CLONE_NEWUTS | _CLONE_NEWCGROUP
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOTHING = MS_NOSUID | MS_NODEV | MS_NOEXEC
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MS_SLAVE = 4096, 8192, 16384, 1 << 18, 1 << 19
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL, _SECCOMP_MODE_FILTER, _MNT_DETACH = 4, 2, 2
_KEYCTL_JOIN_SESSION_KEYRING = 1
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_LAST_CAPABILITY = 63
CAP_SETGID, CAP_SETUID = 6, 7
# Every file of a user whom the namespace knows, whatever its mode says.
CAPS_OF_FILES = CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER = 1, 2, 3
# On every architecture.
_PIDFD_GETFD, _OPEN_TREE, _MOVE_MOUNT = 438, 428, 429
_AT_FDCWD, _FROM_DESCRIPTOR = -100, 4
_OPEN_TREE_CLONE = 1 | os.O_CLOEXEC

_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE_VM, _STACK = 0x100, 16 * 1024
_KCMP, _KCMP_VM = {"x86_64": 312, "aarch64": 272}, 1

_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.PyDLL(None, use_errno=True)  # calls keep the interpreter's lock


# Found once: a child of a zygote would have to look for what its parent never calls. With their
# types, ints and bytes are passed as they are: a sandbox is a hundred such calls.
_LONG = ctypes.c_ulong
_prctl, _mount, _umount, _syscall = _libc.prctl, _libc.mount, _libc.umount2, _libc.syscall
_unshare, _setns, _capset, _sethostname = (
    _libc.unshare,
    _libc.setns,
    _libc.capset,
    _libc.sethostname,
)
_prctl.argtypes = (ctypes.c_int, _LONG, _LONG, _LONG, _LONG)
_mount.argtypes = (*(ctypes.c_char_p,) * 3, _LONG, ctypes.c_char_p)
_clone = _python.syscall
_clone.argtypes = (_LONG,) * 6
_before_fork, _after_fork = _python.PyOS_BeforeFork, _python.PyOS_AfterFork_Parent
_after_fork_inside = _python.PyOS_AfterFork_Child

_pause, _clone_to = ctypes.cast(_libc.pause, ctypes.c_void_p), _libc.clone
_clone_to.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_stack = ctypes.create_string_buffer(_STACK)

_kept: list[object] = []  # what memory of ours points to


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`. Raises OSError."""
    _checked(_unshare(flags), "unshare")


def fork_into(namespaces: int) -> int:
    """fork(2), of a process with one thread, whose child begins in new namespaces. No C library
    is told, so its handlers do not run, and to it the child's thread has its parent's number.
    Raises OSError."""
    number, flags = _CLONE[os.uname().machine], namespaces | signal.SIGCHLD
    _before_fork()
    pid = int(_clone(number, flags, 0, 0, 0, 0))
    if pid == 0:
        _after_fork_inside()
    else:
        _after_fork()
    _checked(min(0, pid), "clone")
    return pid


def idle_in(namespaces: int) -> int:
    """Start a child in new namespaces that waits to be killed: the C library's pause(3), in memory
    of ours, of which nothing is copied (clone(2)). One at a time. Raises OSError."""
    top = (ctypes.addressof(_stack) + _STACK) & ~15
    pid = int(_clone_to(_pause, top, namespaces | _CLONE_VM | signal.SIGCHLD, None))
    _checked(min(0, pid), "clone")
    return pid


def enter_namespace(descriptor: int, kind: int) -> None:
    """setns(2), which Python has since 3.12. Raises OSError."""
    _checked(_setns(descriptor, kind), "setns")


def show_in_proc() -> None:
    """Be dumpable again (prctl(2)): /proc/self belongs to us, not to root. Raises OSError."""
    prctl(PR_SET_DUMPABLE, 1)


def prctl(option: int, *arguments: int) -> None:
    """prctl(2). Raises OSError."""
    _checked(_prctl(option, *(*arguments, 0, 0, 0, 0)[:4]), "prctl")


def leave_keyring() -> None:
    """Join a new session keyring that has no name (keyctl(2)). Raises OSError."""
    number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
    # The number of the new one is no error.
    _checked(min(0, _syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)), "keyctl")


def drop_capabilities(but: tuple[int, ...] = ()) -> None:
    """Every capability but these, out of every set, for good (capabilities(7)). Raises OSError."""
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in but and _prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # EINVAL: the kernel knows no more of them
    prctl(PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    kept = sum(1 << capability for capability in but)  # all of them below 32
    _checked(_capset(header, struct.pack("=6I", kept, kept, 0, 0, 0, 0)), "capset")


def install_filter(program: bytes) -> None:
    """Put a seccomp filter (an array of struct sock_filter) over this thread and what it starts;
    the thread gains no privilege from now on. Raises OSError."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(ready_filter(program)))


@functools.cache
def ready_filter(program: bytes) -> ctypes.Array[ctypes.c_uint64]:
    """A struct sock_fprog. Made once: ctypes makes types for it, which is most of the work."""
    code = ctypes.create_string_buffer(program, len(program))
    _kept.append(code)
    return (ctypes.c_uint64 * 2)(len(program) // 8, ctypes.addressof(code))


def change_root(directory: str) -> None:
    """Make `directory`, a mount point, the root of this mount namespace; the old one goes.
    Raises OSError. pivot_root(2): "." twice needs no place for the old root."""
    os.chdir(directory)
    number = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
    _checked(_syscall(number, b".", b"."), "pivot_root")
    unmount(".")
    os.chdir("/")


def unmount(target: str) -> None:
    """umount2(2) with MNT_DETACH. Raises OSError."""
    _checked(_umount(target.encode(), _MNT_DETACH), f"umount {target}")


def pidfd_getfd(pidfd: int, descriptor: int) -> int:
    """A copy of another process's descriptor, close-on-exec. Raises OSError."""
    copy = int(_syscall(_PIDFD_GETFD, pidfd, descriptor, 0))
    _checked(0 if copy >= 0 else copy, "pidfd_getfd")
    return copy


def share_memory(first: int, second: int) -> bool:
    """Whether these two threads have one memory, or have both ended (kcmp(2)). Raises OSError."""
    order = int(_syscall(_KCMP[os.uname().machine], first, second, _KCMP_VM, 0, 0))
    _checked(min(0, order), "kcmp")
    return order == 0


def set_hostname(name: str) -> None:
    """sethostname(2). Raises OSError."""
    _checked(_sethostname(name.encode(), len(name)), "sethostname")


def detached(directory: str) -> int:
    """A mount of what is in `directory` that is nowhere yet (open_tree(2)): who is given this
    descriptor can put it somewhere in other namespaces, once. Raises OSError."""
    made = int(_syscall(_OPEN_TREE, _AT_FDCWD, directory.encode(), _OPEN_TREE_CLONE))
    _checked(min(0, made), f"open_tree {directory}")
    return made


def put(made: int, target: str) -> None:
    """Put a detached mount at `target` (move_mount(2)). Raises OSError."""
    done = _syscall(_MOVE_MOUNT, made, b"", _AT_FDCWD, target.encode(), _FROM_DESCRIPTOR)
    _checked(done, f"mount {target}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError naming the target."""
    done = _mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        flags,
        data.encode() or None,
    )
    if done != 0:
        _checked(done, f"mount {target}")
