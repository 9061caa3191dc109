"""Descriptors: waited for, written to, and handed from process to process with a message."""

from __future__ import annotations

import _socket  # the C module: `socket` would import enum, 3 ms and more
import errno
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def ready(descriptor: int, seconds: float | None, events: int = select.POLLIN) -> int:
    """Which of these `events`, or what trouble, a descriptor has within so long; 0: none."""
    waiting = select.poll()
    waiting.register(descriptor, events)
    found = waiting.poll(None if seconds is None else max(0.0, seconds) * 1000)
    return found[0][1] if found else 0


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """All of it, however little is taken at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def hand_over(channel: _socket.socket, words: Sequence[bytes], descriptors: Sequence[int]) -> None:
    """Send one message, and descriptors of ours with it, however many sandboxes of the same user
    have on their way. Raises OSError."""
    data = b"".join(number.to_bytes(4, "little") for number in descriptors)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data)] if data else []
    try:
        channel.sendmsg(words, rights)
    except OSError as error:
        if error.errno != errno.ETOOMANYREFS:
            raise
        import resource

        # All that a user's processes have on their way is compared with the limit of who sends.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            channel.sendmsg(words, rights)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def received(channel: _socket.socket, most: int, descriptors: int) -> tuple[bytes, list[int]]:
    """One message, and what came with it: ours to close. Raises OSError."""
    message, ancillary, _, _ = channel.recvmsg(
        most, _socket.CMSG_SPACE(4 * descriptors), _socket.MSG_CMSG_CLOEXEC
    )
    return message, handed_over(ancillary)


def handed_over(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors among what came with a message."""
    return [
        int.from_bytes(data[at : at + 4], "little")
        for _, kind, data in ancillary
        if kind == _socket.SCM_RIGHTS
        for at in range(0, len(data) - 3, 4)
    ]
