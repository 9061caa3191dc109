"""What a sandbox with a way out may reach: set from outside, in its network namespace.

That belongs to a user namespace around the sandbox's (see `slirp4netns`): nobody inside may change
it, as imitated root neither. Enter it a child of ours, for a moment.
"""

from __future__ import annotations

import _socket
import os
from functools import partial

from e2brun.frozen import Frozen
from e2brun.sandbox.local.agent.descriptors import hand_over, received
from e2brun.sandbox.local.isolation import nftables, syscalls
from e2brun.sandbox.local.isolation.driver import WayOut
from e2brun.sandbox.local.isolation.forking import forked
from e2brun.sandbox.local.isolation.rtnetlink import Network
from e2brun.sandbox.local.isolation.slirp4netns import enter_users

_LONGEST = 1000  # bytes of a complaint
_BACKLOG = 128


class Rules(Frozen):
    """Who is allowed is reached, denied or not. TCP to one of `ports` of anybody else comes to us
    instead, to be judged by what is asked for."""

    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    ports: tuple[int, ...] = ()


def enforce(way: WayOut, rules: Rules) -> list[int]:
    """From now on these rules hold, instead of others. Returns for each of `ports` a descriptor
    that takes its connections. Raises OSError, and then those before hold."""
    ours, theirs = _socket.socketpair()
    pid = forked(theirs.fileno(), partial(_set, way, rules, theirs))
    theirs.close()
    try:
        message, listeners = received(ours, _LONGEST, max(1, len(rules.ports)))
    finally:
        ours.close()
        os.waitpid(pid, 0)
    if message != b"!":
        complaint = message.decode(errors="replace").strip()
        raise OSError(complaint.removeprefix("e2brun: ") or "it was not told why")
    return listeners


def _set(way: WayOut, rules: Rules, answer: _socket.socket) -> None:
    enter_users(way.users)
    syscalls.enter_namespace(way.network, syscalls.CLONE_NEWNET)
    listeners = [_listener() for _ in rules.ports]
    places = [listener.getsockname()[1] for listener in listeners]
    redirects = [nftables.Redirect(*pair) for pair in zip(rules.ports, places, strict=True)]
    nftables.replace(rules.allow, rules.deny, redirects)
    hand_over(answer, [b"!"], [listener.fileno() for listener in listeners])


def _listener() -> _socket.socket:
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    return listener
