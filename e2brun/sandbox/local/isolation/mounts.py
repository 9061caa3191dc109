"""What a sandbox sees, put together from what its template shares and what is its own.

The one place where that is said: both drivers call `assemble`, bubblewrap's before bwrap enters
the result, the zygote's children before it becomes their root.

What is shared is shown through overlays of the sandbox's own. To the kernel these are other files
than the host's and its neighbours': inotify tells nothing of who else opens them, a lock holds
nobody else up, and the table of mounts names no path of the host. An overlay shows but one file
system: a directory with others mounted below it is bound as it is, and so it is where the kernel
refuses the overlay.
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.isolation import rootfs, syscalls
from e2brun.sandbox.local.isolation.driver import Jail
from e2brun.sandbox.local.isolation.environment import LOADER_CACHE, own_etc
from e2brun.sandbox.local.isolation.rootfs import STAGE, Share, Tree

TOP = f"{STAGE}/top"  # what becomes the root
_FILES = f"{STAGE}/files"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
# Of the host or of its user, and nothing that a program needs.
_HIDDEN = tuple(f"/proc/{name}" for name in (
    "cmdline", "config.gz", "keys", "key-users", "partitions", "diskstats", "interrupts",
    "softirqs", "swaps", "acpi", "asound", "bus", "fs", "irq", "scsi",
))  # fmt: skip
_NOTHING = syscalls.MS_NOSUID | syscalls.MS_NODEV
_READ_ONLY = _NOTHING | syscalls.MS_RDONLY
_FLAGS = _READ_ONLY | syscalls.MS_NOEXEC
# statvfs(3) numbers these otherwise than mount(2): ST_NOATIME, ST_NODIRATIME, ST_RELATIME.
_ACCESS_TIME_BITS = 1024 | 2048 | 4096
_ACCESS_TIMES = {1024: 1024, 2048: 2048, 3072: 3072, 4096: 1 << 21}


class Own(TypedDict):
    """What one sandbox alone has. A dictionary, since it also travels to a zygote."""

    sandbox_id: str
    boot_id: str
    disk: int  # bytes
    inodes: int
    memory: int  # bytes, of /dev/shm
    service: bool
    directories: tuple[str, ...]  # absolute; see `_places`
    mounts: tuple[str, ...]  # where, of detached mounts that come beside this
    owner: int  # a uid, and a gid, of everything that can be written; -1: our own


def own(jail: Jail, owner: int = -1) -> Own:
    """What this sandbox is to have for itself alone."""
    random = os.urandom(16).hex()
    boot_id = "-".join(random[start:end] for start, end in pairwise((0, 8, 12, 16, 20, 32)))
    limits = jail.limits
    return {
        "sandbox_id": jail.sandbox_id,
        "boot_id": boot_id,
        "disk": limits.disk,
        "inodes": limits.most_inodes,
        "memory": limits.memory,
        "service": jail.service,
        "directories": jail.directories,
        "mounts": tuple(place for place, _ in jail.mounts),
        "owner": owner,
    }


def opened(shared: list[Share]) -> list[tuple[Share, int]]:
    """Each with a descriptor (-1: it is an empty one): what is mounted later may hide its path."""
    flags = os.O_PATH | os.O_CLOEXEC
    return [(share, os.open(share.source, flags) if share.source else -1) for share in shared]


def assemble(
    own: Own,
    root: int,
    tree: Tree,
    shared: list[tuple[Share, int]],
    detached: Sequence[int] = (),
) -> None:
    """Put it together at `TOP`, all but /proc; at `root` `tree` has been laid out, `detached` are
    the mounts of `own`, and descriptors are closed. Raises OSError naming the step."""
    owner = own["owner"]
    uid, gid = (owner, owner) if owner >= 0 else (os.geteuid(), os.getegid())
    owned = f"uid={uid},gid={gid}"
    size = f"size={own['disk']},nr_inodes={own['inodes']},mode=755,{owned}"
    syscalls.mount("e2brun", STAGE, "tmpfs", _NOTHING, size)
    for name in ("top", "empty", "places", "files"):
        os.mkdir(f"{STAGE}/{name}", 0o755)
    if own["service"]:
        shared = [*_own_root(own, tree, root), *shared]
    else:
        targets = [share.target for share, _ in shared]
        _make_way(targets, _writable(own, root, targets))
    for share, descriptor in shared:
        _show(share, descriptor)
    _own_files(own, tree)
    _devices(own, owned)
    for place, mount in zip(own["mounts"], detached, strict=True):
        syscalls.put(mount, TOP + place)
        os.close(mount)
        add_flags(TOP + place, _NOTHING)


def _own_root(own: Own, tree: Tree, root: int) -> list[tuple[Share, int]]:
    """A service's: all of it can be written, as by root at E2B, but for what is mounted, from which
    pid 1 loads. Nor can another one be put in its place: the directories on the way to it are
    mounts as well, which nobody can rename. Returns what of the template's root is to be mounted.
    """
    rootfs.plant(TOP, rootfs.of_its_own(tree, own["sandbox_id"]), alone=True)
    here = os.open(TOP, os.O_PATH | os.O_CLOEXEC)
    for directory in (*own["directories"], *own["mounts"]):
        if _places((directory,), here, []):
            os.makedirs(TOP + directory, 0o755)
    os.close(here)
    if own["owner"] >= 0:
        _give_away(own["owner"], TOP)
    for place in ("", *tree.held):
        syscalls.mount(TOP + place, TOP + place, None, syscalls.MS_BIND)
    bind_read_only(TOP + LOADER_CACHE, TOP + LOADER_CACHE)
    flags = os.O_PATH | os.O_CLOEXEC
    return [(Share("", place), os.open(place[1:], flags, dir_fd=root)) for place in rootfs.OF_ROOT]


def _own_files(own: Own, tree: Tree) -> None:
    """What is bound over files, and what over links."""
    etc = {} if own["service"] else own_etc(own["sandbox_id"])
    sources = {path: os.path.basename(path) for path in etc}
    rootfs.write(f"{STAGE}/boot_id", f"{own['boot_id']}\n", os.O_CREAT)
    rootfs.write(f"{STAGE}/blank", "", os.O_CREAT)
    for path, name in sources.items():
        rootfs.write(f"{STAGE}/{name}", etc[path], os.O_CREAT)
    if own["owner"] >= 0:
        _give_away(own["owner"], STAGE)
    bind_read_only(STAGE, _FILES)  # what is bound from there is read-only already
    for path, name in sources.items():
        bind_read_only(f"{_FILES}/{name}", TOP + path)
    if own["service"]:
        for place, target in tree.libraries.items():
            source = f"{TOP}/{target.lstrip('/')}"
            syscalls.mount(source, TOP + place, None, syscalls.MS_BIND | syscalls.MS_REC)


def _writable(own: Own, root: int, others: list[str]) -> list[str]:
    """Mount the root at `TOP`, and on it what can be written; `others` will be mounted as well.
    Where all of it can be written."""
    wanted = (*own["directories"], *own["mounts"])
    places = _places(wanted, root, [*rootfs.WRITABLE, *others])
    for place in places:
        os.makedirs(f"{STAGE}/places{place}", 0o755)
    _overlay(root, TOP, "places")
    writable = {**rootfs.WRITABLE, **dict.fromkeys(places, 0o755)}
    for number, (place, mode) in enumerate(writable.items()):
        name = f"{STAGE}/own-{number}"
        os.mkdir(name)
        os.chmod(name, mode)
        syscalls.mount(name, TOP + place, None, syscalls.MS_BIND)
    for directory in wanted:
        if any(directory.startswith(f"{place}/") for place in writable):
            os.makedirs(TOP + directory, 0o755, exist_ok=True)
    return list(writable)


def _places(directories: tuple[str, ...], root: int, others: list[str]) -> list[str]:
    """Where the root needs a place for what is wanted outside of `others`, the mounts there are:
    the first directory on the way that it does not have. One below a file or link has none."""
    found: set[str] = set()
    for directory in directories:
        if any(f"{directory}/".startswith(f"{other}/") for other in others):
            continue
        parts = directory[1:].split("/")
        for length in range(1, len(parts) + 1):
            place = "/".join(parts[:length])
            try:
                mode = os.stat(place, dir_fd=root, follow_symlinks=False).st_mode
            except FileNotFoundError:
                found.add(f"/{place}")
                break
            if not stat.S_ISDIR(mode):
                break
    return sorted(found)


@functools.cache
def covers() -> list[tuple[str, str]]:
    """(place on the stage, place inside) of what is bound over files and directories of /proc,
    read-only."""
    there = [path for path in _HIDDEN if os.path.exists(path)]
    hidden = [(f"{_FILES}/{'empty' if os.path.isdir(path) else 'blank'}", path) for path in there]
    return [*hidden, (f"{_FILES}/boot_id", BOOT_ID)] if os.path.exists(BOOT_ID) else hidden


def bind_read_only(source: str, place: str) -> None:
    """Show what is at `source`, one file system, at `place` as well, where nobody can write."""
    syscalls.mount(source, place, None, syscalls.MS_BIND)
    add_flags(place, _READ_ONLY)


def add_flags(place: str, flags: int) -> None:
    """Add flags to one mount. Those it has stay: a user namespace may not take them away."""
    found = os.statvfs(place).f_flag
    if found & flags == flags:  # MS_RDONLY to MS_NOEXEC are as statvfs(3) numbers them
        return
    has = found & _FLAGS | _ACCESS_TIMES.get(found & _ACCESS_TIME_BITS, 0)
    syscalls.mount("", place, None, syscalls.MS_BIND | syscalls.MS_REMOUNT | has | flags)


def _show(share: Share, descriptor: int) -> None:
    place = TOP + share.target
    if descriptor < 0:
        bind_read_only(f"{STAGE}/empty", place)
        return
    try:
        if share.divided:
            raise OSError
        _overlay(descriptor, place)
    except OSError:
        _bind(descriptor, place)


def _overlay(descriptor: int, place: str, second: str = "empty") -> None:
    """An overlay needs a second layer, or one that can be written. The first is named by the
    working directory: what it is called outside would be seen inside."""
    os.fchdir(descriptor)
    syscalls.mount("e2brun", place, "overlay", _READ_ONLY, f"lowerdir=.:{STAGE}/{second}")
    os.close(descriptor)


def _bind(descriptor: int, place: str) -> None:
    os.fchdir(descriptor)
    syscalls.mount(".", place, None, syscalls.MS_BIND | syscalls.MS_REC)
    os.close(descriptor)
    for found in rootfs.mount_points():
        if found == place or found.startswith(f"{place}/"):
            add_flags(found, _READ_ONLY)


def _make_way(targets: list[str], tops: list[str]) -> None:
    """A place for what is to be shown below a directory that can be written (a Python in /root).
    All on the way to it become mount points, which nobody can rename: or another Python could be
    put where pid 1 looks for its modules. In the home lie but its user's own packages."""
    held: set[str] = set()
    for target in targets:
        top = next((top for top in tops if target.startswith(f"{top}/")), "")
        if not top or any(target.startswith(f"{other}/") for other in targets):
            continue  # its place is there already, or comes with the other
        os.makedirs(TOP + target)
        while top != HOME and (target := os.path.dirname(target)) != top:
            held.add(TOP + target)
    for place in sorted(held):  # each before what is in it
        syscalls.mount(place, place, None, syscalls.MS_BIND)


def _give_away(owner: int, top: str) -> None:
    """As root, who made all this: `top` and what is in it."""
    os.chown(top, owner, owner)
    for directory, directories, files in os.walk(top):
        if directory == STAGE:
            directories.remove("top")
        for name in (*directories, *files):
            os.chown(f"{directory}/{name}", owner, owner, follow_symlinks=False)


def _devices(own: Own, owned: str) -> None:
    for name in rootfs.DEVICES:
        syscalls.mount(f"/dev/{name}", f"{TOP}/dev/{name}", None, syscalls.MS_BIND)
        # Read-only: all but the device itself, whose times and rights are the host's.
        add_flags(f"{TOP}/dev/{name}", syscalls.MS_NOSUID | syscalls.MS_RDONLY)
    shm = f"size={own['memory']},nr_inodes=10000,mode=1777,{owned}"
    syscalls.mount("e2brun-shm", f"{TOP}/dev/shm", "tmpfs", _NOTHING, shm)
    terminals = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    # Of 4096 that there are for the host and all sandboxes together (devpts, max=).
    options = "newinstance,ptmxmode=0666,mode=620,max=64"
    syscalls.mount("devpts", f"{TOP}/dev/pts", "devpts", terminals, options)
    if own["owner"] >= 0:
        os.chown(f"{TOP}/dev/pts/ptmx", own["owner"], own["owner"])
