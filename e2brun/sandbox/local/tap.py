"""The sandbox's only network interface, with a filter on everything that leaves through it.

Routes alone do not hold: a socket bound to an interface (SO_BINDTODEVICE, IP_PKTINFO: no
capability is needed) is taken to know better, and sends on where the routes say no. The filter
is kept by the tun driver itself, for whoever reads from the interface.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
import struct
from collections.abc import Iterable

from e2brun.sandbox.local import syscalls
from e2brun.sandbox.local.netlink import Network

NAME = "tap0"
DEVICE = "/dev/net/tun"
_DEVICE_NUMBER = (10, 200)
_SET_INTERFACE, _SET_PERSISTENT, _ATTACH_FILTER = 0x400454CA, 0x400454CB, 0x401054D5
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_LOAD_HALF, _LOAD_WORD, _AND, _JEQ, _RET = 0x28, 0x20, 0x54, 0x15, 0x06
_TYPE_AT, _DESTINATION_AT = 12, 30  # in an Ethernet frame with an IPv4 packet
_IPV4, _ARP = 0x0800, 0x0806
_DROP, _PASS = 0, 0xFFFFFFFF
_MOST_NETWORKS = 1000  # 4 steps each at most; the kernel takes 4096


def create(forbidden: Iterable[Network]) -> None:
    """Make the interface in this network namespace. Only ARP leaves through it, and IPv4 to
    addresses that are not forbidden. Raises OSError.

    Of more than a thousand networks the rest is left to the routes, past which a frame comes
    only if somebody answers ARP for the address: slirp4netns does for none but its own.
    """
    program = _program(list(forbidden)[:_MOST_NETWORKS])
    content = ctypes.create_string_buffer(program, len(program))
    tun = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        request = struct.pack("=16sH22x", NAME.encode(), _IFF_TAP | _IFF_NO_PI)
        fcntl.ioctl(tun, _SET_INTERFACE, request)
        filter_ = struct.pack("@HP", len(program) // 8, ctypes.addressof(content))
        fcntl.ioctl(tun, _ATTACH_FILTER, filter_)
        fcntl.ioctl(tun, _SET_PERSISTENT, 1)  # until slirp4netns opens it again
    finally:
        os.close(tun)


def let_everyone_open() -> None:
    """As root, where only root may open the device: put one in its place, in this mount
    namespace, that the user we are about to become can open. Raises OSError."""
    everyone = 0o666
    if os.path.exists(DEVICE) and os.stat(DEVICE).st_mode & everyone == everyone:
        return
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("e2brun", os.path.dirname(DEVICE), "tmpfs", flags, "mode=755")
    os.mknod(DEVICE, stat.S_IFCHR | everyone, os.makedev(*_DEVICE_NUMBER))
    os.chmod(DEVICE, everyone)  # mknod heeds the umask


def _program(forbidden: Iterable[Network]) -> bytes:
    steps = [
        _step(_LOAD_HALF, _TYPE_AT),
        _step(_JEQ, _ARP, 0, 1),
        _step(_RET, _PASS),
        _step(_JEQ, _IPV4, 1, 0),
        _step(_RET, _DROP),
    ]
    for network in forbidden:
        if len(network.address) == 4:
            mask = -1 << (32 - network.length) & 0xFFFFFFFF
            address = int.from_bytes(network.address) & mask
            steps += [_step(_LOAD_WORD, _DESTINATION_AT), _step(_AND, mask)]
            steps += [_step(_JEQ, address, 0, 1), _step(_RET, _DROP)]
    steps.append(_step(_RET, _PASS))
    return b"".join(steps)


def _step(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)
