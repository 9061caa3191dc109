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
lives in: that is the outer. The network belongs to the inner one, in which no root exists; the
sandbox is made inside that, and so can change neither routes nor interfaces.
"""

from __future__ import annotations

import _socket
import array
import os
import select
import shutil
import signal
import stat
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.local.isolation import rootfs, rtnetlink, syscalls
from e2brun.sandbox.local.isolation.driver import Problem, WayOut
from e2brun.sandbox.local.isolation.forking import forked
from e2brun.sandbox.local.isolation.launching import place
from e2brun.sandbox.local.isolation.rtnetlink import Network

if TYPE_CHECKING:
    from e2brun.sandbox.local.isolation.driver import Jailed

INSTALL = "Install it: apt-get update && apt-get install -y slirp4netns"
_FORBIDDEN = tuple(
    Network.parse(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: metadata of AWS, Google, Azure, ECS, ...
        "100.100.100.200/32",  # metadata of Alibaba
        "168.63.129.16/32",  # Azure's WireServer
        "192.0.0.0/24",  # metadata of Oracle, and protocols of the link
        "224.0.0.0/4",
        "255.255.255.255/32",
    )
)
_PRIVATE = tuple(
    Network.parse(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_GATEWAY, NAMESERVER = Network.parse("10.0.2.2/32"), Network.parse("10.0.2.3/32")
_NO_IPV6 = Network.parse("::/0")
_TUN, _TUN_NUMBER = "/dev/net/tun", (10, 200)
_START_SECONDS = 15.0
_READY_FD, _LIFELINE_FD, _NETWORK_FD, _USER_FD = 3, 4, 5, 6
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
    if shutil.which("slirp4netns") is None:
        return Problem("slirp4netns is not installed", INSTALL)
    if os.geteuid() != 0 and not os.access(_TUN, os.R_OK | os.W_OK):
        return Problem(
            f"this user cannot open {_TUN}",
            f"As root: modprobe tun && chmod 666 {_TUN} (for a container: --device {_TUN})",
        )
    return None


class Uplink:
    """The way out for one sandbox: a socket pair between us and its launcher, then slirp4netns."""

    def __init__(self, *, private: bool) -> None:
        """`private`: private networks are out of reach, too."""
        self._private = private
        if found := problem():
            raise SandboxUnavailable(f"--network: {found.what}", hint=found.remedy)
        self._ours, self._theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self.far_end = self._theirs.fileno()

    def plug_in(self, far_end: int) -> None:
        """In the launcher: enter the network, and wait for it. Raises OSError."""
        link = _socket.socket(fileno=far_end)
        link.settimeout(_START_SECONDS)
        link.sendmsg([b"?"], [_rights(_enter_network(private=self._private))])
        if not link.recv(1):
            raise OSError("the network did not come up")
        # Not before: the kernel takes no default route through a gateway it cannot reach.
        rtnetlink.make_unreachable([_GATEWAY])
        link.close()

    def attach(self, jailed: Jailed, owner: int) -> None:
        """Start slirp4netns for the launcher, as a companion. Raises SandboxUnavailable."""
        self._theirs.close()
        try:
            if namespaces := self._namespaces():
                jailed.way_out = WayOut(owner, *namespaces)
                _start(jailed, owner, namespaces)
                self._ours.send(b"!")
        except BaseException:
            jailed.end()
            jailed.reap()
            raise
        finally:
            self._ours.close()

    def _namespaces(self) -> Sequence[int]:
        """Descriptors of the network and the outer user namespace; none from a dead launcher,
        whose own complaint says why."""
        self._ours.settimeout(_START_SECONDS)
        try:
            message, ancillary, _, _ = self._ours.recvmsg(1, _socket.CMSG_SPACE(2 * 4))
        except TimeoutError as error:
            raise SandboxUnavailable("--network: the sandbox took too long to start") from error
        return array.array("i", ancillary[0][2]) if message else ()


def closed_networks(*, private: bool) -> set[Network]:
    """What nobody inside may reach, seen from the host's network."""
    return {*_FORBIDDEN, *rtnetlink.local_networks(), *(_PRIVATE if private else ())}


def _enter_network(*, private: bool) -> tuple[int, int]:
    """Descriptors of the new network namespace, all set but for slirp4netns, and of the outer
    user namespace."""
    forbidden = closed_networks(private=private) - {_GATEWAY, NAMESERVER}
    rootfs.enter_user_namespace(0)
    user = os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    rootfs.enter_user_namespace(rootfs.SANDBOX_UID, syscalls.CLONE_NEWNET)
    network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    rootfs.prepare_network()
    rtnetlink.make_unreachable(forbidden)
    if os.path.isdir("/proc/sys/net/ipv6"):
        rtnetlink.make_unreachable([_NO_IPV6])
        # Where /proc/sys is read-only: slirp4netns hears no IPv6 as it is started here.
        with suppress(OSError), open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
            file.write("1")
    return network, user


def _rights(descriptors: Sequence[int]) -> tuple[int, int, array.array[int]]:
    return _socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", descriptors)


def _start(jailed: Jailed, owner: int, namespaces: Sequence[int]) -> None:
    """Returns when the interface is up."""
    ready, say_ready = os.pipe()
    complaints, complain = os.pipe()
    tied, lifeline = os.pipe()
    jailed.lifelines.append(lifeline)
    try:
        given = (2, say_ready, tied, *namespaces)
        jailed.children.append(forked(complain, partial(_become_slirp, owner, given)))
        for descriptor in (say_ready, complain):
            os.close(descriptor)
        if not _says_ready(ready):
            raise _not_started(complaints)
    finally:
        for descriptor in (ready, complaints, tied):
            os.close(descriptor)


def _says_ready(ready: int) -> bool:
    waiting = select.poll()
    waiting.register(ready, select.POLLIN)
    return bool(waiting.poll(_START_SECONDS * 1000)) and os.read(ready, 1) == b"1"


def _not_started(complaints: int) -> SandboxUnavailable:
    os.set_blocking(complaints, False)
    text = b""
    with suppress(BlockingIOError):
        text = os.read(complaints, 65536)
    lines = [line.strip() for line in text.decode(errors="replace").splitlines()]
    telling = [line for line in lines if line and not line.startswith(_NOISE)]
    why = telling[0] if telling else "it did not get ready"
    return SandboxUnavailable(f"--network: slirp4netns did not start: {why}")


def _become_slirp(owner: int, given: tuple[int, ...]) -> NoReturn:
    """In a forked child: give up every right but those over the sandbox's own namespaces."""
    program = shutil.which("slirp4netns") or ""
    os.chdir("/")
    place(given)
    # Its complaints are read until it is up; later ones must not kill it.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    _limit()
    if os.geteuid() == 0:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("", "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
        _let_everyone_open()
        rootfs.become(owner)
    syscalls.enter_namespace(_USER_FD, syscalls.CLONE_NEWUSER)
    os.close(_USER_FD)
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
