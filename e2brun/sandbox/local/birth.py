"""From a fork of the zygote to the first process of a sandbox: namespaces, mounts, no rights."""

from __future__ import annotations

import _socket
import fcntl
import os
import signal
import struct
import sys
from contextlib import suppress
from typing import Any, NoReturn

from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local import staging, syscalls
from e2brun.sandbox.local.jail import CONTROL_FD, Jail

_NAMESPACES = (
    syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWCGROUP
)  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
    "ptmx": "pts/ptmx", "core": "/proc/kcore",
}  # fmt: skip
_WRITABLE = ((HOME, 0o755), ("/tmp", 0o1777), ("/var/tmp", 0o1777))  # noqa: S108
_WRITABLE_IN_SERVICE = (("/root", 0o755), ("/code", 0o777))
_VIEWS = ("/proc", HOME, "/dev/shm")  # noqa: S108
WORK = "/mnt"  # where the writable file system stands while it is divided up
_NOTHING = syscalls.MS_NOSUID | syscalls.MS_NODEV
_FLAGS = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
# statvfs(3) numbers these otherwise than mount(2): ST_NOATIME, ST_NODIRATIME, ST_RELATIME.
_ACCESS_TIME_BITS = 1024 | 2048 | 4096
_ACCESS_TIMES = {1024: 1024, 2048: 2048, 3072: 3072, 4096: 1 << 21}
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
# For what is also counted with all other sandboxes' (user_namespaces(7), inotify(7)).
_MOST = {
    "max_user_namespaces": "0", "max_inotify_instances": "64", "max_inotify_watches": "65536",
}  # fmt: skip
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def build_root(jail: Jail) -> list[str]:
    """Put together what every sandbox of this template can read, and make it our root.

    Returns the read-only places that lie below writable ones (a Python installed in /root).
    """
    below = [
        bind.target
        for bind in staging.read_only_binds(jail)
        if any(bind.target.startswith(f"{place}/") for place, _ in _WRITABLE_IN_SERVICE)
        and os.path.exists(bind.source)
    ]
    staging.lay_out(jail, "size=16m,mode=755")
    root = staging.ROOT
    syscalls.mount(root, root, None, syscalls.MS_BIND | syscalls.MS_REC)
    for name in _DEVICES:
        with open(f"{root}/dev/{name}", "wb"):
            pass
        syscalls.mount(f"/dev/{name}", f"{root}/dev/{name}", None, syscalls.MS_BIND)
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{root}/dev/{name}")
    for name in ("/dev/pts", "/dev/shm", "/code"):  # noqa: S108
        os.makedirs(root + name, exist_ok=True)
    os.makedirs(f"{root}/run/e2b")
    with open(f"{root}/run/e2b/.E2B_SANDBOX", "w", encoding="ascii") as file:
        file.write("false\n")  # at E2B: whether this is a virtual machine
    syscalls.mount("/proc", f"{root}/proc", None, syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.change_root(root)
    syscalls.mount("", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    _protect_mounts()
    return [place for place in below if not any(place.startswith(f"{top}/") for top in below)]


def _protect_mounts() -> None:
    """No set-id bit counts on any mount; nothing but a device is a device, or can be written."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        places = [_unescaped(line.split()[4]) for line in file]
    for place in places:
        if place.startswith("/proc/"):  # each sandbox covers it with its own
            continue
        add = syscalls.MS_NOSUID
        if not place.startswith("/dev/"):
            add |= syscalls.MS_NODEV
            add |= 0 if place == "/proc" else syscalls.MS_RDONLY
        _add_flags(place, add)


def _unescaped(text: str) -> str:
    """A path as mountinfo writes it (proc(5)): blanks and backslashes are octal."""
    return text.encode("ascii", "surrogateescape").decode("unicode_escape", "surrogateescape")


def give_birth(main: Any, request: dict[str, Any], given: tuple[int, int, int]) -> NoReturn:
    """In the zygote's child: start the sandbox's first process, and end."""
    control, complaints, go = given
    try:
        os.setsid()
        os.dup2(complaints, 2)
        staging.become(request["owner"])  # where the zygote has more than one user
        syscalls.show_in_proc()
        staging.enter_user_namespace(staging.SANDBOX_UID, _NAMESPACES)
        ours, theirs = _socket.socketpair()
        if os.fork() == 0:
            ours.close()
            _live(main, request, (control, go, theirs))
        # A user namespace below the sandbox's, in which its only user is called root.
        # What we may have when it is made is what all in it may ever have: or root's programs
        # would be counted for themselves, beside the user's.
        main.limit(request["user_limits"])
        staging.enter_user_namespace(0)
        descriptor = os.open("/proc/self/ns/user", os.O_RDONLY)
        rights = descriptor.to_bytes(4, "little")
        ours.sendmsg([b"root"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        os._exit(0)
    except BaseException as error:  # noqa: BLE001  # a forked child must not return into its parent
        os.write(2, f"e2brun: {error}\n".encode(errors="replace"))
    finally:
        os._exit(125)


def _live(main: Any, request: dict[str, Any], given: tuple[int, int, _socket.socket]) -> NoReturn:
    """Pid 1: everything that needs a right, then none is left."""
    control, go, mid = given
    try:
        root_namespace = _received(mid)
        while os.read(go, 1):
            pass
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        _mount_own(request)
        syscalls.set_hostname(request["id"])
        _raise_loopback()
        for name, most in _MOST.items():
            staging.write(f"/proc/sys/user/{name}", most)
        _close_proc(request["boot_id"])
        syscalls.drop_capabilities()
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        syscalls.install_filter(request["filter"])
        _keep_only(control, root_namespace)
        for name in [name for name in sys.modules if name.split(".")[0] == "e2brun"]:
            del sys.modules[name]
        os.chdir(HOME)
        views = tuple(os.open(place, os.O_RDONLY | os.O_CLOEXEC) for place in _VIEWS)
        filters = request["user_filter"], request["root_filter"]
        main.serve(CONTROL_FD, CONTROL_FD + 1, *filters, views)
    except BaseException as error:  # noqa: BLE001
        os.write(2, f"e2brun: {error}\n".encode(errors="replace"))
    finally:
        os._exit(125)


def _received(mid: _socket.socket) -> int:
    message, ancillary, _, _ = mid.recvmsg(16, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    mid.close()
    if message != b"root" or len(ancillary) != 1:
        raise OSError("no namespace for root")
    return int.from_bytes(ancillary[0][2][:4], "little")


def _mount_own(request: dict[str, Any]) -> None:
    """What this sandbox alone has: its files, its shared memory, its /proc, its terminals."""
    writable = list(_WRITABLE)
    below: list[str] = []
    if request["service"]:
        writable += _WRITABLE_IN_SERVICE
        below = request["below"]
    hidden = [(place, os.open(place, os.O_PATH | os.O_CLOEXEC)) for place in below]
    size = f"size={request['disk']},nr_inodes={request['inodes']},mode=755"
    syscalls.mount("e2brun", WORK, "tmpfs", _NOTHING, size)
    for place, mode in writable:
        name = f"{WORK}/{place.strip('/').replace('/', '-')}"
        os.mkdir(name)
        os.chmod(name, mode)
        syscalls.mount(name, place, None, syscalls.MS_BIND)
    _hold_in_place([place for place, _ in hidden], [place for place, _ in writable])
    for place, descriptor in hidden:
        flags = syscalls.MS_BIND | syscalls.MS_REC
        syscalls.mount(f"/proc/self/fd/{descriptor}", place, None, flags)
    own = {
        "hosts": f"127.0.0.1 localhost {request['id']}\n::1 localhost ip6-localhost\n",
        "hostname": f"{request['id']}\n",
    }
    for name, text in own.items():
        staging.write(f"{WORK}/{name}", text, os.O_CREAT)
        syscalls.mount(f"{WORK}/{name}", f"/etc/{name}", None, syscalls.MS_BIND)
        _make_read_only(f"/etc/{name}")
    shm = f"size={request['memory']},nr_inodes=10000,mode=1777"
    syscalls.mount("e2brun-shm", "/dev/shm", "tmpfs", _NOTHING, shm)  # noqa: S108
    no_exec = _NOTHING | syscalls.MS_NOEXEC
    syscalls.mount("proc", "/proc", "proc", no_exec)
    terminals = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("devpts", "/dev/pts", "devpts", terminals, "newinstance,ptmxmode=0666,mode=620")
    if request["service"]:
        _move_to_own_root(f"{WORK}/top")  # the rest of WORK goes with the old root
    else:
        syscalls.unmount(WORK)


def _move_to_own_root(top: str) -> None:
    """Put all that is in / into `top`, which can be written, and make that the root: at E2B a
    file may be written to a new directory in /. What is mounted there nobody can replace; so
    /lib, from which pid 1 loads, becomes the directory it is a link to.
    """
    names = os.listdir("/")
    os.mkdir(top, 0o755)
    syscalls.mount(top, top, None, syscalls.MS_BIND)
    for name in names:
        old, new = f"/{name}", f"{top}/{name}"
        if os.path.islink(old) and not name.startswith("lib"):
            os.symlink(os.readlink(old), new)
            continue
        os.mkdir(new, 0o755)
        if old != WORK:
            syscalls.mount(old, new, None, syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.change_root(top)


def _hold_in_place(places: list[str], tops: list[str]) -> None:
    """Make these directories below writable ones, and every directory on the way a mount point:
    no such can be renamed, or another Python could be put where pid 1 looks for its modules."""
    above: set[str] = set()
    for place in places:
        os.makedirs(place)
        while (place := os.path.dirname(place)) not in tops:
            above.add(place)
    for place in sorted(above):  # each before what is in it
        syscalls.mount(place, place, None, syscalls.MS_BIND)


def _close_proc(boot_id: str) -> None:
    """Settings can be read only; and this boot of the sandbox has an id of its own."""
    syscalls.mount("/proc/sys", "/proc/sys", None, syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.mount("boot", WORK, "tmpfs", _NOTHING, "size=4k,nr_inodes=2,mode=755")
    staging.write(f"{WORK}/boot_id", boot_id + "\n", os.O_CREAT)
    with suppress(FileNotFoundError):
        syscalls.mount(f"{WORK}/boot_id", _BOOT_ID, None, syscalls.MS_BIND)
        _make_read_only(_BOOT_ID)
    _make_read_only("/proc/sys")
    syscalls.unmount(WORK)


def _make_read_only(place: str) -> None:
    _add_flags(place, syscalls.MS_RDONLY)


def _add_flags(place: str, flags: int) -> None:
    """Add flags to one mount. Those it has stay: a user namespace may not take them away."""
    has = os.statvfs(place).f_flag & _FLAGS
    has |= _ACCESS_TIMES.get(os.statvfs(place).f_flag & _ACCESS_TIME_BITS, 0)
    syscalls.mount("", place, None, syscalls.MS_BIND | syscalls.MS_REMOUNT | has | flags)


def _raise_loopback() -> None:
    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = struct.pack("16sH14x", b"lo", 0)
    flags = struct.unpack("16sH14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
    probe.close()


def _keep_only(control: int, root_namespace: int) -> None:
    """Descriptors: 0, 1 and 2 lead nowhere, 3 is the host, 4 the namespace for root."""
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (control, root_namespace)]
    null = os.open("/dev/null", os.O_RDWR)
    for target, source in enumerate((null, null, null, *high)):
        os.dup2(source, target, inheritable=target < CONTROL_FD)
    os.closerange(CONTROL_FD + 2, 1 << 20)
