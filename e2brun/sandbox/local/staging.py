"""The sandbox's file tree, put together in a mount namespace of its own before bubblewrap runs.

Runs in a forked child of e2brun that never comes back: it ends in bubblewrap or in an error
line on its stderr. One tmpfs with a size and an inode limit holds everything that can be
written; what is read-only is bound into the same tree. Nothing of it exists outside that
namespace, so nothing is left when the last process in it dies, however it dies.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from e2brun.sandbox.contract import HOME, USER
from e2brun.sandbox.local import syscalls
from e2brun.sandbox.local.jail import AGENT_DIRECTORY, NODE_DIRECTORY, Jail

# Any directory will do that surely exists: the mount is seen by the sandbox alone, and every
# path bound from below it has been opened before. bubblewrap itself needs /tmp as well.
STAGE = "/tmp"  # noqa: S108
ROOT = f"{STAGE}/root"
SANDBOX_UID = 1000

_PASSWD = f"""root:x:0:0:root:/root:/bin/bash
{USER}:x:{SANDBOX_UID}:{SANDBOX_UID}:{USER}:{HOME}:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = f"root:x:0:\n{USER}:x:{SANDBOX_UID}:\nnogroup:x:65534:\n"
# A script's first line takes one argument; "import" finds the module where the agent's are.
_PROGRAM = f"""#!/opt/e2brun/bin/python3 -IS
import sys
sys.path.insert(0, {AGENT_DIRECTORY!r})
import {{0}}
{{0}}.{{1}}()
"""
# What E2B's templates have: always ours, or only where the host has none.
_SUDO = ("sudo", "sudo", "main")
_IF_MISSING = (("setfattr", "fattr", "set_attribute"), ("getfattr", "fattr", "get_attribute"))
_HOSTS = "127.0.0.1 localhost {name}\n::1 localhost ip6-localhost\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
_RESOLV = "nameserver 10.0.2.3\n"  # slirp4netns answers there
# Enough for `openssl req`, which does nothing without; the host's may name its keys.
_OPENSSL = """[req]
distinguished_name = name
x509_extensions = authority
string_mask = utf8only
[name]
commonName = Common Name
[authority]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always, issuer
basicConstraints = critical, CA:true
"""
# Of the host's /etc only what programs cannot do without and nobody calls secret.
_ETC_FILES = ("ld.so.cache", "localtime", "mime.types", "protocols", "services")
_ETC_DIRECTORIES = (
    "alternatives", "fonts", "ssl/certs", "pki/tls/certs", "pki/ca-trust/extracted", "terminfo",
)  # fmt: skip
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_UNSHARED_UID_FLOOR, _UNSHARED_UID_SPAN = 1_879_048_192, 268_435_454


@dataclass(frozen=True, slots=True)
class Bind:
    """A host path that appears inside, read-only, at `target` (absolute, below `ROOT`)."""

    source: str
    target: str


def writable_binds() -> tuple[tuple[str, str], ...]:
    """(place on the stage, place inside) of the directories that can be written."""
    return (
        (f"{STAGE}/home", HOME),
        (f"{STAGE}/tmp", "/tmp"),  # noqa: S108
        (f"{STAGE}/vartmp", "/var/tmp"),  # noqa: S108
    )


def read_only_binds(jail: Jail) -> list[Bind]:
    """What of the host a sandbox can read: the system, its Python, its packages, the agent."""
    python = jail.interpreter
    binds = [Bind("/usr", "/usr")]
    # Where /bin and its kin are not links into /usr (before the "usr merge").
    binds += [
        Bind(f"/{name}", f"/{name}")
        for name in _SYSTEM
        if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")
    ]
    if not python.prefix.startswith("/usr"):
        binds += [
            Bind(f"{python.prefix}/{part}", f"{python.prefix}/{part}")
            for part in ("bin", "lib", "lib64", "include")
        ]
    binds += [Bind(f"{STAGE}/empty", place) for place in python.site_packages]
    if jail.layer:
        binds.append(Bind(jail.layer, python.purelib or user_site(jail)))
    agent = os.path.join(os.path.dirname(os.path.abspath(__file__)), "agent")
    binds.append(Bind(agent, AGENT_DIRECTORY))
    if jail.node_layer:
        binds.append(Bind(jail.node_layer, NODE_DIRECTORY))
    directories = [*_ETC_DIRECTORIES, *_language_settings()]
    binds += [Bind(f"/etc/{name}", f"/etc/{name}") for name in directories]
    return binds


def _language_settings() -> list[str]:
    """Directories in /etc without which Debian's Java and R do not start."""
    with suppress(OSError):
        return [name for name in os.listdir("/etc") if name == "R" or name.startswith("java-")]
    return []


def user_site(jail: Jail) -> str:
    """Where Python looks for the packages of one user, inside."""
    major, minor, _ = jail.interpreter.version
    return f"{HOME}/.local/lib/python{major}.{minor}/site-packages"


def sandbox_owner() -> int:
    """The host uid the sandbox runs under: ours, or for root one that owns nothing at all.

    The range is the one systemd's UIDS-GIDS page leaves unused. One of its own for each
    sandbox, so that two of them share no per-user limit and no ownership.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    return _UNSHARED_UID_FLOOR + int.from_bytes(os.urandom(4)) % _UNSHARED_UID_SPAN


def users_base(count: int) -> int:
    """The first of `count` host uids in a row that own nothing at all (for root)."""
    return _UNSHARED_UID_FLOOR + int.from_bytes(os.urandom(4)) % (_UNSHARED_UID_SPAN - count)


def enter_namespaces() -> None:
    """Leave the host's mounts (and, as an ordinary user, its user namespace) behind."""
    uid = os.geteuid()
    if uid == 0:
        syscalls.unshare(syscalls.CLONE_NEWNS)
    else:
        enter_user_namespace(uid, syscalls.CLONE_NEWNS)
    # slave: an unmount on the host still reaches us, nothing of ours reaches the host
    syscalls.mount("", "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)


def enter_user_namespace(inside: int, others: int = 0) -> None:
    """Go on in a user namespace of our own (and `others`, all rights over which it gives), where
    we are the only user and group there are, both numbered `inside`."""
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | others)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"{inside} {uid} 1")
    write("/proc/self/gid_map", f"{inside} {gid} 1")


def build(jail: Jail, owner: int) -> None:
    """Put the tree together on `STAGE`, writable places and all. Raises OSError naming the step."""
    limits = jail.limits
    lay_out(jail, f"size={limits.disk},nr_inodes={limits.inodes},mode=755")
    _own_writable(owner, limits.memory)


def lay_out(jail: Jail, options: str) -> None:
    """Mount a tmpfs with `options` on `STAGE` and put there what can only be read."""
    # Opened before anything is mounted over them: a path below STAGE is hidden afterwards.
    binds = [(_open(bind.source), bind) for bind in read_only_binds(jail)]
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    etc_files = {name: _content(f"/etc/{name}") for name in _ETC_FILES}
    syscalls.mount("e2brun", STAGE, "tmpfs", flags, options)
    _directories(jail)
    _etc(jail, etc_files)
    for descriptor, bind in binds:
        source = bind.source if bind.source.startswith(STAGE + "/empty") else None
        if descriptor is None and source is None:
            continue
        _bind(source or f"/proc/self/fd/{descriptor}", bind.target)
        if descriptor is not None:
            os.close(descriptor)


def _bind(source: str, target: str) -> None:
    """Show `source` at `target`, read-only. bubblewrap makes the whole tree below `ROOT`
    read-only once more, mounts within `source` included; the home is not below it."""
    place = f"{STAGE}/home{target[len(HOME) :]}" if target.startswith(HOME) else ROOT + target
    _make_directory(place)
    syscalls.mount(source, place, None, syscalls.MS_BIND | syscalls.MS_REC)
    # A user namespace may add a flag to a mount it did not make, but drop none.
    kept = os.statvfs(place).f_flag & (syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    remount = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY
    syscalls.mount("", place, None, remount | kept)


def become(owner: int) -> None:
    """Give up root for good; an ordinary user is already who it will be."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)


def _directories(jail: Jail) -> None:
    for place in ("dev", "proc", "run", "etc", "opt/e2brun/bin", "usr", "root", "sys", "mnt"):
        _make_directory(f"{ROOT}/{place}")
    for place, inside in writable_binds():
        _make_directory(ROOT + inside)
        _make_directory(place)
    _make_directory(f"{STAGE}/shm")
    _make_directory(f"{STAGE}/empty")
    for name in _SYSTEM:
        with suppress(OSError):  # not a link (an unmerged /usr) or not there
            os.symlink(os.readlink(f"/{name}"), f"{ROOT}/{name}")
    for name in ("python", "python3"):
        os.symlink(jail.interpreter.executable, f"{ROOT}/opt/e2brun/bin/{name}")
    missing = [program for program in _IF_MISSING if not os.path.exists(f"/usr/bin/{program[0]}")]
    for name, *function in (_SUDO, *missing):
        with open(f"{ROOT}/opt/e2brun/bin/{name}", "w", encoding="ascii") as file:
            file.write(_PROGRAM.format(*function))
            os.fchmod(file.fileno(), 0o755)
    os.symlink("/proc/self/mounts", f"{ROOT}/etc/mtab")


def _etc(jail: Jail, host_files: dict[str, bytes]) -> None:
    files = {
        "passwd": _PASSWD.encode(),
        "group": _GROUP.encode(),
        "hosts": _HOSTS.format(name=jail.sandbox_id).encode(),
        "hostname": f"{jail.sandbox_id}\n".encode(),
        "nsswitch.conf": _NSSWITCH.encode(),
        "ssl/openssl.cnf": _OPENSSL.encode(),
        "pki/tls/openssl.cnf": _OPENSSL.encode(),
        **host_files,
    }
    for name in ("ssl", "pki/tls"):
        _make_directory(f"{ROOT}/etc/{name}")
    if jail.network:
        files["resolv.conf"] = _RESOLV.encode()
    for name, content in files.items():
        if content:
            with open(f"{ROOT}/etc/{name}", "wb") as file:
                file.write(content)


def _own_writable(owner: int, shm_size: int) -> None:
    options = f"size={shm_size},nr_inodes=10000,mode=1777"
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV
    syscalls.mount("e2brun-shm", f"{STAGE}/shm", "tmpfs", flags, options)
    for place, _ in writable_binds():
        os.chmod(place, 0o1777)  # noqa: S103
    os.chmod(f"{STAGE}/home", 0o755)  # noqa: S103
    if os.geteuid() == 0:
        os.chown(f"{STAGE}/home", owner, owner)


def _make_directory(path: str) -> None:
    if not os.path.isdir(path):
        os.makedirs(path, 0o755)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_PATH)
    except OSError:
        return None


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def write(path: str, text: str, flags: int = 0) -> None:
    """Write to a file in one call; it must be there, unless `flags` has O_CREAT."""
    descriptor = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
