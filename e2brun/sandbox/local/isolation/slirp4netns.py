"""`--network`: the internet through slirp4netns, and nothing of the host itself.

The sandbox has a network namespace of its own, with slirp4netns at the other end of its only
interface. Out of reach, whatever the code inside does:

- the host's loopback, by any of its names;
- every address the host had when the sandbox started, so that what listens on 0.0.0.0 there
  cannot be reached by the host's LAN address either. One it gets later is not known here;
- link-local addresses, the metadata services of the clouds, multicast, and all of IPv6.

Routes refuse these at once. A socket bound to the interface (SO_BINDTODEVICE, IP_PKTINFO: no
capability is needed) goes past them, but then the kernel looks for the address on the link
itself, where slirp4netns answers for its own two addresses only; and it passes no multicast on.
Names are looked up by the host's own resolver, which is asked at 10.0.2.3, port 53 only.

Two user namespaces stand one in the other. slirp4netns insists on being root of the one it
lives in: that is the outer. The network belongs to the inner one, in which no root exists; what
runs in the sandbox has no right over that, and so can change neither routes nor interfaces. Whoever
makes a sandbox closes what is to be out of reach; the interface comes when it is up.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.local.agent.descriptors import ready
from e2brun.sandbox.local.isolation import syscalls
from e2brun.sandbox.local.isolation.driver import Problem, WayOut, on_path
from e2brun.sandbox.local.isolation.forking import forked
from e2brun.sandbox.local.isolation.launching import place

if TYPE_CHECKING:
    from e2brun.sandbox.local.isolation.driver import Jailed

INSTALL = "Install it: apt-get update && apt-get install -y slirp4netns"
_TUN, _TUN_NUMBER = "/dev/net/tun", (10, 200)
_GET_OWNER, _GET_PARENT = 0xB701, 0xB702  # ioctl_ns(2): user namespaces
START_SECONDS = 15.0
_READY_FD, _LIFELINE_FD, _NETWORK_FD, _USERS_FD = 3, 4, 5, 6
_OPTIONS = (
    "--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox",
    "--enable-seccomp", f"--ready-fd={_READY_FD}", f"--exit-fd={_LIFELINE_FD}",
    "--netns-type=path", f"/proc/self/fd/{_NETWORK_FD}", "tap0",
)  # fmt: skip
# Hundreds of connections, each with its buffers, and still less than half a gigabyte.
_OPEN_FILES, _ADDRESS_SPACE = 1024, 1 << 30
_NOISE = ("WARNING", "sent tapfd", "received tapfd", "child failed", "parent failed")


def problem() -> Problem | None:
    """Why `--network` cannot work here, as far as can be told without starting it."""
    if on_path("slirp4netns") is None:
        return Problem("slirp4netns is not installed", INSTALL)
    if os.geteuid() != 0 and not os.access(_TUN, os.R_OK | os.W_OK):
        return Problem(
            f"this user cannot open {_TUN}",
            f"As root: modprobe tun && chmod 666 {_TUN} (for a container: --device {_TUN})",
        )
    return None


def check() -> None:
    """Raises SandboxUnavailable where there is a problem."""
    if found := problem():
        raise SandboxUnavailable(f"--network: {found.what}", hint=found.remedy)


class Uplink:
    """slirp4netns for a sandbox that is up and in which nothing has run, as a companion of its
    processes. `ready` can be read when it is up, or has failed; then `check`. To be closed."""

    def __init__(self, jailed: Jailed, network: int) -> None:
        """`network`: a descriptor of its network namespace, the sandbox's from now on. Raises
        SandboxUnavailable for another one: what is around the host's we may not see. OSError."""
        try:
            owner = fcntl.ioctl(network, _GET_OWNER)
            try:
                users = fcntl.ioctl(owner, _GET_PARENT)
            finally:
                os.close(owner)
        except OSError as error:
            os.close(network)
            raise SandboxUnavailable(f"--network: no network of a sandbox's: {error}") from error
        jailed.way_out = WayOut(network, users)
        self.ready, say_ready = os.pipe()
        self._complaints, complain = os.pipe()
        tied, lifeline = os.pipe()
        jailed.lifelines.append(lifeline)
        given = (2, say_ready, tied, network, users)
        try:
            jailed.children.append(forked(complain, partial(_become_slirp, given)))
        finally:
            for descriptor in (say_ready, complain, tied):
                os.close(descriptor)

    def wait(self) -> None:
        """Until it is up. Raises SandboxUnavailable."""
        ready(self.ready, START_SECONDS)
        self.check()

    def check(self) -> None:
        """Raises SandboxUnavailable where it is not up."""
        os.set_blocking(self.ready, False)
        with suppress(BlockingIOError):
            if os.read(self.ready, 1) == b"1":
                return
        raise _not_started(self._complaints)

    def close(self) -> None:
        """It is up, or nobody waits for it."""
        os.close(self.ready)
        os.close(self._complaints)


def enter_users(users: int) -> None:
    """In a forked child: give up every right but those over a sandbox's own namespaces. Raises
    OSError."""
    if os.geteuid() == 0:
        os.setgroups([])  # not allowed in there
    syscalls.enter_namespace(users, syscalls.CLONE_NEWUSER)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _not_started(complaints: int) -> SandboxUnavailable:
    os.set_blocking(complaints, False)
    text = b""
    with suppress(BlockingIOError):
        text = os.read(complaints, 65536)
    lines = [line.strip() for line in text.decode(errors="replace").splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOISE)]
    why = telling[0] if telling else "it did not get ready"
    return SandboxUnavailable(f"--network: slirp4netns did not start: {why}")


def _become_slirp(given: tuple[int, ...]) -> NoReturn:
    program = on_path("slirp4netns") or ""
    os.chdir("/")
    place(given)
    # Its complaints are read until it is up; later ones must not kill it.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    _limit()
    if os.geteuid() == 0:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("", "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
        _let_everyone_open()
    enter_users(_USERS_FD)
    os.close(_USERS_FD)
    os.execve(program, ["slirp4netns", *_OPTIONS], {})


def _let_everyone_open() -> None:
    """As root, where only root may open the tun device: put one in its place, in this mount
    namespace, that the user we are about to become can open. Raises OSError."""
    everyone = 0o666
    if os.path.exists(_TUN) and os.stat(_TUN).st_mode & everyone == everyone:
        return
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("e2brun", os.path.dirname(_TUN), "tmpfs", flags, "mode=755")
    os.mknod(_TUN, stat.S_IFCHR | everyone, os.makedev(*_TUN_NUMBER))
    os.chmod(_TUN, everyone)  # mknod heeds the umask


def _limit() -> None:
    import resource

    for kind, most in (
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_AS, _ADDRESS_SPACE),
        (resource.RLIMIT_CORE, 1),  # 0 still starts what core_pattern names: core(5)
    ):
        allowed = resource.getrlimit(kind)[1]
        limit = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.setrlimit(kind, (limit, limit))
