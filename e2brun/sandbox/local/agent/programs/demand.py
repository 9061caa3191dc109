"""Where Pythons inside ask for a package of the template that is not there yet (see `finder.py`).

Pid 1 reads nothing from them: a forked child reads the name, and ends with its number in our
list. The host is told that name, once until it has answered, and says where the package is.
"""

from __future__ import annotations

import _socket
import os
import sys
from time import monotonic

from ..callers import part, welcome
from ..finder import DOOR, NAMED, NEEDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MODULES = (*NAMED, *NEEDED)
_FIRST = 2  # the exit status that stands for the first of them: a child that fails ends with 1
# Every start of a Python runs this: it costs 0.4 ms, and opens `finder.py` when one of these is
# missing.
_FINDER = """\
import sys; sys.meta_path.append(type("OnDemand", (), {"find_spec": lambda self, name, path=None, \
target=None: None if path is not None or f" {name} " not in " %s " else ("found" in \
vars(self) or exec(sys.modules["_frozen_importlib_external"].SourceFileLoader("e2brun", \
"/opt/e2brun/agent/finder.py").get_code("e2brun"), vars(self)), self.found(self, name, \
target))[1]})())
"""
_WAITING = 64  # clients
_NAMES = 60  # in the life of a sandbox; the host takes no more either
_AGAIN_SECONDS = 60.0  # after a failure
_waiting: dict[str, list[int]] = {}  # name -> those who have asked for it
_placed: dict[str, tuple[str, float]] = {}  # name -> where it is; nowhere, until then


def demand(agent: Any, request: dict[str, Any], _descriptors: list[int]) -> None:
    """Have Pythons ask, from before anything of the user's has run."""
    door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    if not welcome(
        agent, door, DOOR, _serve, lambda c, end: _dismiss(agent, request["id"], c, end)
    ):
        return
    major, minor = sys.version_info[:2]
    place = f"/home/user/.local/lib/python{major}.{minor}/site-packages"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.open(f"{place}/e2brun-on-demand.pth", flags, 0o644)
    except OSError:  # then nobody asks
        return
    os.write(file, (_FINDER % " ".join(_MODULES)).encode())
    os.close(file)


def placed(_agent: Any, request: dict[str, Any], _descriptors: list[int]) -> None:
    """The host's answer."""
    name, place = request["module"], request["place"]
    _placed[name] = place, monotonic() + _AGAIN_SECONDS
    for client in _waiting.pop(name, ()):
        part(client, place.encode())


def _serve(_agent: Any, client: _socket.socket) -> None:
    """In the child."""
    os._exit(_FIRST + _MODULES.index(client.recv(64).decode()))


def _dismiss(agent: Any, number: int, client: int, status: int) -> None:
    at = os.WEXITSTATUS(status) - _FIRST  # less than 0 of one that was killed, or failed
    name = _MODULES[at] if 0 <= at < len(_MODULES) else ""
    place, until = _placed.get(name, ("", 0.0))
    full = sum(map(len, _waiting.values())) >= _WAITING
    if not name or place or monotonic() < until or full:
        part(client, place.encode())
    elif name in _waiting:
        _waiting[name].append(client)
    elif len(_waiting.keys() | _placed.keys() | {name}) > _NAMES:
        part(client, b"")
    else:
        _waiting[name] = [client]
        agent.tell("wanted", number, name)
