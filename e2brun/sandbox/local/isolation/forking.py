"""Who forks the process that becomes bubblewrap: when its sandbox is known, or ahead of that.

Ahead, it reads its modules and enters its namespaces while its parent, on another core, still
reads what is to run; which sandbox it is to be, it is told on a socket. Should nobody tell, as
its parent has ended, it ends.
"""

from __future__ import annotations

import _socket
import marshal
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from e2brun.sandbox.local.agent.descriptors import hand_over, received
from e2brun.sandbox.local.isolation.driver import Jail, Jailed

_LONGEST = 64 * 1024


class Begun:
    """One that is forked already."""

    def __init__(self, bwrap: str) -> None:
        self._socket, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        complaints, complain = os.pipe()

        def become() -> None:
            self._socket.close()  # or we would not see our parent end
            _build_when_told(bwrap, theirs)

        pid = forked(complain, become)
        theirs.close()
        os.close(complain)
        self._jailed = Jailed(pid, complaints)

    def start(self, jail: Jail, control: int) -> Jailed:
        with suppress(OSError):  # it has failed, and complained
            hand_over(self._socket, [marshal.dumps(jail.packed())], [control])
        self._socket.close()
        return self._jailed

    def close(self) -> None:
        """There is none to be."""
        self._socket.close()
        self._jailed.end()
        self._jailed.reap()


def fork(bwrap: str, jail: Jail, control: int) -> Jailed:
    """One for this sandbox."""
    from e2brun.sandbox.local.isolation import builder, rootfs
    from e2brun.sandbox.local.isolation.launching import in_lasting_thread

    complaints, complain = os.pipe()

    def build() -> None:
        builder.get_ready()
        owner = rootfs.sandbox_owner(mounts=bool(jail.mounts))
        builder.build(bwrap, jail, control, owner)

    jailed = Jailed(in_lasting_thread(lambda: forked(complain, build)), complaints)
    os.close(complain)
    return jailed


def fork_python(
    code: bytes, become: Callable[[tuple[int, ...]], object], *more: int
) -> tuple[_socket.socket, Jailed]:
    """A child that `become`s a Python of ours, given what it is to have from its descriptor 2 on:
    a place for complaints, its end of a socket, `code` to read, and `more`. Our end, and it."""
    from e2brun.sandbox.local.isolation.launching import in_lasting_thread, memory_file

    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    complaints, complain = os.pipe2(os.O_CLOEXEC)
    given = (2, theirs.fileno(), memory_file("code", code), *more)

    def begin() -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whose handler is a loop's
        become(given)

    pid = in_lasting_thread(lambda: forked(complain, begin))
    os.close(complain)
    os.close(given[2])
    theirs.close()
    return ours, Jailed(pid, complaints)


def forked(complain: int, become: Callable[[], object]) -> int:
    """The pid of a child that calls `become`, from which it is not to return: what hinders it, it
    says to `complain`, which is its stderr."""
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        os.setsid()  # the terminal's Ctrl-C is for e2brun, which then ends the sandbox
        os.dup2(complain, 2)
        become()
    except BaseException as error:
        os.write(2, f"e2brun: {error}\n".encode(errors="replace"))
    finally:
        os._exit(125)


def _build_when_told(bwrap: str, told: _socket.socket) -> None:
    from e2brun.sandbox.local.isolation import builder, rootfs

    builder.get_ready()
    message, given = received(told, _LONGEST, 1)
    if message:
        jail = Jail.unpacked(marshal.loads(message))
        builder.build(bwrap, jail, given[0], rootfs.sandbox_owner())
