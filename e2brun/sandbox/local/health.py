"""What the embedded sandbox needs of this machine, looked at; and the proof that it works."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

from e2brun.errors import E2brunError
from e2brun.sandbox.check import Check, Status
from e2brun.sandbox.contract import MIB, Outcome, Program, SandboxSpec
from e2brun.sandbox.local.isolation import rootfs, syscalls
from e2brun.sandbox.local.isolation.bubblewrap import INSTALL, OLDEST, Bubblewrap
from e2brun.sandbox.local.memory.cgroup import delegated
from e2brun.sandbox.local.memory.procfs import contents
from e2brun.settings import Settings

_VERSION_SECONDS = 5.0
_PROOF_SECONDS = 20.0
_LITTLE_SPACE = 1024 * MIB
_COUNTING_SECONDS = 2.0
_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2
_ELSEWHERE = "Set E2B_API_KEY to run on E2B instead."
# What forbids user namespaces: (file, value, what to do).
_FORBIDDING = (
    ("/proc/sys/user/max_user_namespaces", b"0", "sysctl -w user.max_user_namespaces=15000"),
    ("/proc/sys/kernel/unprivileged_userns_clone", b"0",
     "sysctl -w kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", b"1",
     "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
)  # fmt: skip


def examine(settings: Settings) -> Iterator[Check]:
    """Every part by itself, as far as one can tell without starting a sandbox."""
    yield _python()
    yield _bubblewrap()
    yield _user_namespaces()
    yield overlays(_attempt(_overlay))
    yield _seccomp()
    yield cgroups()
    yield _uv()
    yield _network()
    yield _node()
    yield _cache(settings.cache_dir)


def proof(settings: Settings) -> Check:
    """A real sandbox that runs `print(1)`."""
    from e2brun.sandbox.local.backend import LocalBackend

    name = "sandbox"
    output = bytearray()
    backend = LocalBackend(cache_directory=str(settings.cache_dir))
    started = monotonic()
    try:
        sandbox = backend.create(SandboxSpec(python=settings.python, cells=False))
        execution = sandbox.run_program(
            Program(("python3", "-c", "print(1)")),
            timeout=_PROOF_SECONDS,
            stdout=output.extend,
            stderr=output.extend,
        )
    except E2brunError as error:
        remedy = error.hint if "doctor" not in error.hint else ""
        return Check(name, Status.FAIL, str(error), remedy or f"See above. {_ELSEWHERE}")
    finally:
        backend.close()
    if execution.outcome is not Outcome.OK or bytes(output) != b"1\n":
        said = bytes(output[-200:]).decode(errors="replace")
        found = f"print(1) ended as {execution.outcome}: {execution.detail or said}"
        return Check(name, Status.FAIL, found, f"See above. {_ELSEWHERE}")
    elapsed = (monotonic() - started) * 1000
    return Check(name, Status.OK, f"started, ran print(1), ended: {elapsed:.0f} ms", proves=True)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    base = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    found = f"{version}, {sys.executable}"
    if base != os.path.realpath(sys.executable) or base != sys.executable:
        found += f" (inside: {base})"
    return Check("python", Status.OK, found)


def _bubblewrap() -> Check:
    driver = Bubblewrap()
    if problem := driver.problem():
        return Check("bubblewrap", Status.FAIL, problem.what, problem.remedy)
    try:
        version = _version(driver.executable).rpartition(" ")[2]
    except (OSError, subprocess.SubprocessError) as error:
        version = f"unknown ({error})"
    oldest, found = ".".join(map(str, OLDEST)), f"{version}, {driver.executable}"
    numbers = tuple(int(part) for part in version.split(".") if part.isdigit())
    if numbers < OLDEST:
        remedy = f"It must be {oldest} or newer. {INSTALL}"
        return Check("bubblewrap", Status.FAIL, found, remedy)
    return Check("bubblewrap", Status.OK, found)


def _user_namespaces() -> Check:
    name = "user-namespaces"
    if why := _attempt(lambda: None):
        remedies = [one for file, value, one in _FORBIDDING if contents(file).strip() == value]
        remedy = f"As root: {' && '.join(remedies)}; or set E2B_API_KEY to run on E2B."
        if not remedies:
            options = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
            remedy = f"If this is a container, start it with {options}. {_ELSEWHERE}"
        return Check(name, Status.FAIL, f"refused: {why}", remedy)
    return Check(name, Status.OK, "can be made here")


def overlays(why: str) -> Check:
    """A sandbox runs without them as well, and sees the host's own files then."""
    if not why:
        return Check("overlays", Status.OK, "can be made here")
    return Check(
        "overlays",
        Status.WARN,
        f"refused: {why}",
        "Sandboxes can watch (inotify) and lock the system's files that all of them share. The "
        "kernel needs overlayfs in user namespaces: Linux 5.11, and as root: modprobe overlay",
    )


def _overlay() -> None:
    """As `mounts` makes one, in a mount namespace of our own. Raises OSError."""
    syscalls.mount("e2brun", rootfs.STAGE, "tmpfs", syscalls.MS_NOSUID, "mode=755")
    for name in ("below", "above", "top"):
        os.mkdir(f"{rootfs.STAGE}/{name}")
    layers = f"lowerdir={rootfs.STAGE}/above:{rootfs.STAGE}/below"
    syscalls.mount("e2brun", f"{rootfs.STAGE}/top", "overlay", syscalls.MS_RDONLY, layers)


def _attempt(more: Callable[[], None]) -> str:
    """Make user and mount namespaces as a sandbox does, in a child, and `more`; why not, or ''."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            # The order of a sandbox of an ordinary user; root's gives up being root first.
            rootfs.become(rootfs.sandbox_owner())
            syscalls.show_in_proc()
            rootfs.enter_user_namespace(rootfs.SANDBOX_UID, syscalls.CLONE_NEWNS)
            # AppArmor lets one in, and then refuses everything.
            syscalls.mount("", "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
            more()
        except BaseException as error:  # noqa: BLE001  # a forked child must not return
            os.write(write, str(error).encode(errors="replace") or b"?")
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    os.waitpid(pid, 0)
    return said.partition("] ")[2] or said


def _seccomp() -> Check:
    from e2brun.sandbox.local.isolation.seccomp import filter_program

    # No filter is given: a kernel that could take one complains of that alone.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, None, 0, 0)
    if ctypes.get_errno() not in {errno.EFAULT, errno.EACCES}:
        remedy = f"The kernel needs CONFIG_SECCOMP_FILTER. {_ELSEWHERE}"
        return Check("seccomp", Status.FAIL, "the kernel has no filter mode", remedy)
    try:
        size = len(filter_program()) // 8
    except ValueError as error:
        return Check("seccomp", Status.FAIL, str(error), _ELSEWHERE)
    return Check("seccomp", Status.OK, f"filter mode, {size} instructions for {os.uname().machine}")


def cgroups() -> Check:
    """Good to know, and nothing to repair: without, a sandbox's memory is watched from outside."""
    place = delegated()
    by = f"the kernel, in groups below {place}" if place else "polling: no cgroup is delegated"
    return Check("cgroups", Status.OK, f"memory is watched by {by}")


def _uv() -> Check:
    from e2brun.sandbox.local.pythons import find_uv

    remedy = "Only for --install. Install it: pip install uv"
    try:
        return Check("uv", Status.OK, _version(find_uv()))
    except (E2brunError, OSError, subprocess.SubprocessError) as error:
        return Check("uv", Status.WARN, str(error), remedy)


def _network() -> Check:
    from e2brun.sandbox.local.isolation import slirp4netns as network

    if problem := network.problem():
        return Check("network", Status.WARN, problem.what, f"Only for --network. {problem.remedy}")
    return _versioned("network", "slirp4netns", "")


def _node() -> Check:
    remedy = "Only for .js files. Install it: apt-get update && apt-get install -y nodejs"
    path = shutil.which("node")
    if path is not None and not os.path.realpath(path).startswith("/usr/"):
        found = f"{path} is outside /usr, where no sandbox sees it"
        return Check("node", Status.WARN, found, remedy)
    return _versioned("node", "node", remedy)


def _versioned(name: str, program: str, remedy: str) -> Check:
    path = shutil.which(program)
    if path is None:
        return Check(name, Status.WARN, f"{program} is not installed", remedy)
    try:
        return Check(name, Status.OK, f"{_version(path)}, {path}")
    except (OSError, subprocess.SubprocessError) as error:
        return Check(name, Status.WARN, f"{path}: {error}", remedy)


def _version(path: str) -> str:
    """The first line that `--version` prints. Raises OSError, SubprocessError."""
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
    )
    return (done.stdout.splitlines() or [""])[0]


def _cache(directory: Path) -> Check:
    existing = next(place for place in (directory, *directory.parents) if os.path.exists(place))
    free = shutil.disk_usage(existing).free
    found = f"{directory}: {_counted(directory)}, {free / 1024 / MIB:.1f} GiB free"
    if not os.access(existing, os.W_OK | os.X_OK):
        remedy = "Only for --install. Set E2BRUN_CACHE_DIR to a directory you can write to."
        return Check("cache", Status.WARN, f"{found}, not writable", remedy)
    if free < _LITTLE_SPACE:
        remedy = "Free some space; the cache itself may be deleted at any time."
        return Check("cache", Status.WARN, found, remedy)
    return Check("cache", Status.OK, found)


def _counted(directory: Path) -> str:
    """How much is in there; a lower bound if it takes too long to count."""
    size, end = 0, monotonic() + _COUNTING_SECONDS
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                size += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
        if monotonic() > end:
            return f"more than {size / MIB:.0f} MiB"
    return f"{size / MIB:.0f} MiB" if os.path.exists(directory) else "empty"
