"""The sandbox's file tree, put together in a mount namespace of its own before bubblewrap runs.

Runs in a forked child of e2brun that never comes back: it ends in bubblewrap or in an error
line on its stderr. One tmpfs with a size and an inode limit holds everything that can be
written; what is read-only is bound into the same tree. Nothing of it exists outside that
namespace, so nothing is left when the last process in it dies, however it dies.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from e2brun.frozen import Frozen
from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.isolation import syscalls
from e2brun.sandbox.local.isolation.driver import (
    AGENT_DIRECTORY,
    CELLS_DIRECTORY,
    NODE_DIRECTORY,
    TEMPLATE_DIRECTORY,
    Jail,
    agent_code,
)
from e2brun.sandbox.local.isolation.environment import (
    SOCKET_BUFFER,
    dot_files,
    first_files,
    own_etc,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from e2brun.sandbox.local.isolation.rtnetlink import Network

# Any directory will do that surely exists: the mount is seen by the sandbox alone, and every
# path bound from below it has been opened before. bubblewrap itself needs /tmp as well.
STAGE = "/tmp"
ROOT = f"{STAGE}/root"
SANDBOX_UID = 1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_PIP_PROGRAM = '#!/bin/sh\nexec /opt/e2brun/bin/python3 -m pip "$@"\n'
_PROGRAM = "#!/opt/e2brun/bin/python3 -IS\n{}\n"
# What E2B's templates have: always ours, only where the host has one, or only where it has none.
_SUDO = ("sudo", "root.sudo", "main()")
_IF_THERE = (("apt", "root.apt", "main()"), ("apt-get", "root.apt", "main()"))
_IF_MISSING = (
    ("setfattr", "root.fattr", "set_attribute()"),
    ("getfattr", "root.fattr", "get_attribute()"),
)
# Of the host's /etc, beside files (see `environment`).
_ETC_DIRECTORIES = (
    "alternatives", "fonts", "ssl/certs", "pki/tls/certs", "pki/ca-trust/extracted", "terminfo",
)  # fmt: skip
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
    "ptmx": "pts/ptmx", "core": "/proc/kcore",
}  # fmt: skip
# What can be written everywhere, and its mode. In a service all of the root can be, but for what
# is mounted there.
WRITABLE = {HOME: 0o755, "/tmp": 0o1777, "/var/tmp": 0o1777}
_MODES = {**WRITABLE, "/code": 0o777, "/run/lock": 0o1777, "/sys": 0o555}
_DIRECTORIES = (
    *_MODES, "/dev/pts", "/dev/shm", "/etc/profile.d", "/media", "/mnt", "/opt/e2brun/bin", "/proc",
    "/srv", "/usr", "/var/cache", "/var/lib", "/var/log", "/var/mail", "/var/opt", "/var/spool",
)  # fmt: skip
_LINKS = {"/etc/mtab": "/proc/self/mounts", "/var/run": "/run", "/var/lock": "/run/lock"}
OF_ROOT = ("/dev", "/opt/e2brun")  # read-only where the rest of the root is not
_MOST = {"max_inotify_instances": 64, "max_inotify_watches": 65536}
_UNSHARED_UID_FLOOR, _UNSHARED_UID_SPAN = 1_879_048_192, 268_435_454
# For root: whom volumes belong to, and sandboxes that have one. Not one of the random ones.
OWNER_OF_MOUNTS = _UNSHARED_UID_FLOOR + _UNSHARED_UID_SPAN


AGENT_SOURCE = f"{os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}/agent"


class Share(Frozen):
    """A directory of the host that appears inside, at `target`; no `source`: an empty one."""

    source: str
    target: str
    divided: bool = False  # other file systems are mounted below it


def shares(jail: Jail) -> list[Share]:
    """What of the host a sandbox can read: the system, its Python, its packages, the agent."""
    python = jail.interpreter
    found = {"/usr": "/usr"}  # target -> source
    # Where /bin and its kin are not links into /usr (before the "usr merge").
    found |= {f"/{name}": f"/{name}" for name in _SYSTEM if not os.path.islink(f"/{name}")}
    if not python.prefix.startswith("/usr"):
        parts = [f"{python.prefix}/{part}" for part in ("bin", "lib", "lib64", "include")]
        found |= {part: part for part in parts}
    found |= dict.fromkeys(python.site_packages, "")
    if jail.layer:
        found[layer_place(jail)] = jail.layer
    if jail.cells_layer:
        found[CELLS_DIRECTORY] = jail.cells_layer
    found[AGENT_DIRECTORY] = AGENT_SOURCE
    if jail.node_layer:
        found[NODE_DIRECTORY] = jail.node_layer
    if jail.template_layers:
        found[TEMPLATE_DIRECTORY] = jail.template_layers
    directories = [*_ETC_DIRECTORIES, *_language_settings()]
    found |= {f"/etc/{name}": f"/etc/{name}" for name in directories}
    places = mount_points()
    return [
        Share(source, target, bool(source) and _is_divided(source, places))
        for target, source in found.items()
        if not source or os.path.isdir(source)
    ]


def _is_divided(directory: str, places: list[str]) -> bool:
    real = os.path.realpath(directory)
    return any(place.startswith(f"{real}/") for place in places)


def mount_points() -> list[str]:
    """Where something is mounted, as proc(5) writes it: blanks and backslashes are octal."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return [_unescaped(line.split()[4]) for line in file]


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return text.encode("ascii", "surrogateescape").decode("unicode_escape", "surrogateescape")


def _language_settings() -> list[str]:
    """Directories in /etc without which Debian's Java and R do not start."""
    with suppress(OSError):
        return [name for name in os.listdir("/etc") if name == "R" or name.startswith("java-")]
    return []


class Tree(NamedTuple):
    """What a root begins with, beside what is mounted: absolute paths."""

    directories: dict[str, int]  # with modes, each after the one that it is in
    links: dict[str, str]
    libraries: dict[str, str]  # links as well (/lib), from which pid 1 loads
    files: dict[str, bytes]
    dot_files: dict[str, bytes]  # of a service's sandboxes: a program of `exec` works in its home
    held: list[str]  # on the way to what pid 1 loads: where nobody may put another one


def tree(jail: Jail, shared: list[Share]) -> Tree:
    """That of this template, where `shared` are mounted."""
    files = first_files(online=jail.online)
    targets = [share.target for share in shared]
    directories: dict[str, int] = {}
    homes = dot_files("/root") | dot_files(HOME)
    named = (*own_etc(""), *files, *homes)
    for place in (*_DIRECTORIES, *map(os.path.dirname, named), *_outermost(targets)):
        for path in (*reversed(_above(place)), place):
            directories.setdefault(path, _MODES.get(path, 0o755))
    system = {f"/{n}": os.readlink(f"/{n}") for n in _SYSTEM if os.path.islink(f"/{n}")}
    libraries = {place: to for place, to in system.items() if place.startswith("/lib")}
    links = _LINKS | {place: to for place, to in system.items() if place not in libraries}
    held = {"/etc", "/home"}  # in them nothing that is mounted is pid 1's, but the cache
    for target in _outermost([*targets, *OF_ROOT]):
        if not target.startswith((f"{HOME}/", "/etc/")):
            held.update(_above(target))
    return Tree(directories, links, libraries, files, homes, sorted(held))


def _outermost(places: list[str]) -> list[str]:
    return [one for one in places if not any(one.startswith(f"{other}/") for other in places)]


def _above(place: str) -> list[str]:
    """The directories on the way to it, the nearest first; not the root."""
    found: list[str] = []
    while (place := os.path.dirname(place)) != "/":
        found.append(place)
    return found


def of_its_own(tree: Tree, sandbox_id: str) -> Tree:
    """The same for one sandbox of a service."""
    return tree._replace(files=tree.files | tree.dot_files | own_etc(sandbox_id))


def plant(top: str, tree: Tree, *, alone: bool) -> None:
    """Make it at `top`; `alone`: without what of the template's root will be mounted there."""
    skipped = tuple(f"{place}/" for place in OF_ROOT) if alone else ()
    libraries = {} if alone else tree.libraries
    directories = tree.directories | (dict.fromkeys(tree.libraries, 0o755) if alone else {})
    for path, mode in directories.items():
        if not path.startswith(skipped):
            os.mkdir(top + path, mode)
            if mode & 0o022:  # which the umask takes
                os.chmod(top + path, mode)
    for path, target in (tree.links | libraries).items():
        os.symlink(target, top + path)
    for path, content in tree.files.items():
        write(top + path, content, os.O_CREAT)


def layer_place(jail: Jail) -> str:
    """Where the packages of a layer are, inside."""
    return jail.interpreter.purelib or user_site(jail)


def user_site(jail: Jail) -> str:
    """Where Python looks for the packages of one user, inside."""
    major, minor, _ = jail.interpreter.version
    return f"{HOME}/.local/lib/python{major}.{minor}/site-packages"


def compile_agent(directory: str = AGENT_SOURCE) -> None:
    """Have the agent's code compiled before it is mounted, as installers mostly have: nothing
    inside can write what Python keeps of its compiling, and each sandbox would compile it anew,
    8 ms. Where it may be written beside it (PYTHONDONTWRITEBYTECODE is heeded), and for the Python
    that runs us: another one does without.

    main.py's age alone is looked at. Of any other file that is newer, nothing stale is run: Python
    compares each source's time and size with what it compiled, and compiles that file again."""
    source = f"{directory}/main.py"
    compiled = f"{directory}/__pycache__/main.{sys.implementation.cache_tag}.pyc"
    with suppress(OSError):
        if os.stat(compiled).st_mtime >= os.stat(source).st_mtime:
            return
    if sys.dont_write_bytecode or not os.access(directory, os.W_OK):
        return
    import compileall

    compileall.compile_dir(directory, maxlevels=4, quiet=2)


def sandbox_owner(*, mounts: bool = False) -> int:
    """The host uid the sandbox runs under: ours, or for root one that owns nothing at all, or
    nothing but what is mounted.

    The range is the one systemd's UIDS-GIDS page leaves unused. One of its own for each
    sandbox, so that two of them share no per-user limit and no ownership.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    if mounts:
        return OWNER_OF_MOUNTS
    return _UNSHARED_UID_FLOOR + int.from_bytes(os.urandom(4)) % _UNSHARED_UID_SPAN


def users_base(count: int) -> int:
    """The first of `count` host uids in a row that own nothing at all (for root)."""
    return _UNSHARED_UID_FLOOR + int.from_bytes(os.urandom(4)) % (_UNSHARED_UID_SPAN - count)


def enter_namespaces() -> None:
    """Leave the host's mounts (and, as an ordinary user, its user namespace) behind."""
    os.umask(0o022)  # whatever our caller's is: the sandbox's user has to get into what we make
    uid = os.geteuid()
    if uid == 0:
        syscalls.unshare(syscalls.CLONE_NEWNS)
    else:
        enter_user_namespace(uid, syscalls.CLONE_NEWNS)
    # slave: an unmount on the host still reaches us, nothing of ours reaches the host
    syscalls.mount("", "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)


def limit_namespace(*, user_namespaces: int) -> None:
    """What our user namespace, with those below it, may have of what the kernel counts for all
    processes of a user, on the host too (user_namespaces(7), inotify(7)). Raises OSError."""
    for name, most in (*_MOST.items(), ("max_user_namespaces", user_namespaces)):
        write(f"/proc/sys/user/{name}", str(most))


def prepare_network() -> None:
    """In a new network namespace: its loopback, ports below 1024 for those who have no capability
    (a root that is a name), and no more memory for a TCP connection than the kernel gives to
    other sockets (tcp(7)); it would let some have 32 MiB. Raises OSError."""
    write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
    for name, initially in (("rmem", 131_072), ("wmem", 16_384)):
        write(f"/proc/sys/net/ipv4/tcp_{name}", f"4096 {initially} {SOCKET_BUFFER}")
    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = struct.pack("16sH14x", b"lo", 0)
    flags = struct.unpack("16sH14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
    fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
    probe.close()


def closed_networks(jail: Jail) -> Collection[Network]:
    """What it is not to reach by its way out, if it has one."""
    if not jail.online:
        return ()
    from e2brun.sandbox.local.isolation import out_of_reach

    return out_of_reach.seen_from_inside(private=jail.service)


def enter_user_namespace(inside: int, others: int = 0) -> None:
    """Go on in a user namespace of our own (and `others`, all rights over which it gives), where
    we are the only user and group there are, both numbered `inside`."""
    owner = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | others)
    name_only_user(inside, owner)


def name_only_user(inside: int, owner: tuple[int, int], process: str = "self") -> None:
    """In a new user namespace, that of a process: the user and group that made it, `owner`
    outside, are `inside`."""
    write(f"/proc/{process}/setgroups", "deny")
    for kind, number in zip(("uid", "gid"), owner, strict=True):
        write(f"/proc/{process}/{kind}_map", f"{inside} {number} 1")


def lay_out(jail: Jail, tree: Tree) -> None:
    """Mount a tmpfs on `STAGE` and put at `ROOT` what of a sandbox is the same for all of one
    template: its directories, and the files of ours that can only be read."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("e2brun", STAGE, "tmpfs", flags, "size=16m,mode=755")
    os.mkdir(ROOT, 0o755)
    plant(ROOT, tree, alone=False)
    for path in own_etc(""):
        write(ROOT + path, "", os.O_CREAT)  # a place
    _programs(jail)
    _devices()


def become(owner: int) -> None:
    """Give up root for good; an ordinary user is already who it will be."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)


def _programs(jail: Jail) -> None:
    for name in ("python", "python3"):
        os.symlink(jail.interpreter.executable, f"{ROOT}/opt/e2brun/bin/{name}")
    there = [program for program in _IF_THERE if os.path.exists(f"/usr/bin/{program[0]}")]
    missing = [program for program in _IF_MISSING if not os.path.exists(f"/usr/bin/{program[0]}")]
    programs = {
        name: _PROGRAM.format(agent_code(module, call))
        for name, module, call in (_SUDO, *there, *missing)
    }
    for name, text in (programs | dict.fromkeys(("pip", "pip3"), _PIP_PROGRAM)).items():
        with open(f"{ROOT}/opt/e2brun/bin/{name}", "w", encoding="ascii") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o755)


def _devices() -> None:
    for name in DEVICES:  # each a place for the real one, which only root could make
        with open(f"{ROOT}/dev/{name}", "wb"):
            pass
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"{ROOT}/dev/{name}")


def write(path: str, text: str | bytes, flags: int = 0) -> None:
    """Write to a file in one call; it must be there, unless `flags` has O_CREAT."""
    descriptor = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        os.write(descriptor, text.encode() if isinstance(text, str) else text)
    finally:
        os.close(descriptor)
