"""The parent's side of `wholly`: hands a program a secret, and sees whether it came back.

Runs inside: in the embedded sandbox's agent, and as text before the launcher in E2B's.
"""

import _socket  # the C module: `socket` would import enum, 3 ms and more
import posix


class Completion:
    """Of one program. `given` becomes its descriptor 3."""

    def __init__(self) -> None:
        self._own, self.given = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self._secret = posix.urandom(16).hex().encode()
        self._own.send(self._secret)
        self._own.setblocking(False)

    def let_go(self) -> None:
        """In a forked child, where the descriptors are others by now."""
        self._own.detach()
        self.given.detach()

    def saw(self) -> bool:
        """The program is over: whether its code came to its end."""
        try:
            # More than it can have sent: the kernel keeps a few hundred of them at most.
            return any(self._own.recv(64) == self._secret for _ in range(10_000))
        except OSError:  # nothing more
            return False
        finally:
            self._own.close()
