"""A cgroup (v2) of a sandbox's own, where its owner was handed a part of the tree.

That is so below `systemd-run --scope -p Delegate=yes`, in a user's own systemd, and in some
containers. Then the kernel counts all memory, whatever it is, and processes, keeps both limits
itself, and shares processors out by sandbox. Nothing that is there is changed, and nobody is moved
but the sandbox (cgroups(7)); and a service that is alone in its own, to make room below it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from time import monotonic, sleep

from e2brun.sandbox.contract import MIB, Limits
from e2brun.sandbox.local.memory.procfs import contents, word

_TREE, _OURS = "/sys/fs/cgroup", "/proc/self/cgroup"
_PREFIX = "e2brun-"
_OURS_INSIDE = 16  # processes beside a sandbox's own: the agent, kernels, who helps to start them
_WEIGHT, _FIRST = 50, 10_000  # of a sandbox and of the service; 100 is usual
_SLACK = 64 * MIB  # the watch is to find it first, and to end it in good order
# Of files that nobody holds: what the kernel would give back.
_RECLAIMABLE = (b"inactive_file ", b"active_file ", b"slab_reclaimable ")
_ending: set[str] = set()  # those that are not wanted any more and still have a process


class Cgroup:
    """One sandbox's own, from when it has started."""

    def __init__(self, place: str) -> None:
        self._place = place

    @classmethod
    def of(cls, pid: int, limits: Limits, tree: str = "", ours: str = "") -> Cgroup | None:
        """Move a sandbox's first process into a new one; None where that cannot be."""
        parent = delegated(tree, ours)
        if parent is None:
            return None
        group = cls(f"{parent}/{_PREFIX}{os.getpid()}-{pid}")
        most = limits.memory + limits.memory // 10 + limits.disk * 3 // 4 + _SLACK
        try:
            os.mkdir(group._place)
            group._write("memory.max", most)
            group._offer("memory.swap.max", 0)
            group._offer("pids.max", limits.processes + _OURS_INSIDE)
            group._offer("cpu.weight", _WEIGHT)
            group._write("cgroup.procs", pid)
        except OSError:
            group.remove()
            return None
        return group

    @classmethod
    def settle(cls, tree: str = _TREE, ours: str = _OURS) -> bool:
        """Make room for sandboxes' groups in our own, where that was handed to us and nobody else
        is in it: a group that has groups has no processes. Whether that was so."""
        place = tree + _path(ours)
        settled = os.path.basename(place).startswith(_PREFIX)
        alone = contents(f"{place}/cgroup.procs").split() == [str(os.getpid()).encode()]
        if settled or place == tree or not alone or not _may_divide(place):
            return False
        own = cls(f"{place}/{_PREFIX}{os.getpid()}-0")
        with suppress(OSError):
            os.mkdir(own._place)
            own._write("cgroup.procs", os.getpid())
            for controller in ("memory", "pids", "cpu"):
                with suppress(OSError):  # we were not handed this one
                    cls(place)._write("cgroup.subtree_control", f"+{controller}")
            own._offer("cpu.weight", _FIRST)
            return True
        return False

    def used(self) -> int:
        """Bytes, files that the sandbox has written included."""
        facts = contents(f"{self._place}/memory.stat")
        current = int(contents(f"{self._place}/memory.current") or 0)
        return current - sum(int(word(facts, name) or 0) for name in _RECLAIMABLE)

    def kernel(self) -> int:
        """Bytes of the kernel's objects that it cannot give back."""
        return int(word(contents(f"{self._place}/memory.stat"), b"slab_unreclaimable ") or 0)

    def killed(self) -> bool:
        """Whether the kernel has ended a process for the limit."""
        events = contents(f"{self._place}/memory.events")
        return int(word(events, b"oom_kill ") or 0) > 0

    def remove(self) -> None:
        """Now, or when one is removed after the last of its processes has ended."""
        _ending.add(self._place)
        _remove_ended()

    @staticmethod
    def leave(seconds: float = 2.0) -> None:
        """Before we end: none that was removed is to stay, waiting so long."""
        until = monotonic() + seconds
        while _ending and monotonic() < until:
            sleep(0.01)
            _remove_ended()

    def _offer(self, name: str, value: int) -> None:
        with suppress(OSError):  # not handed on, or not in this kernel
            self._write(name, value)

    def _write(self, name: str, value: int | str) -> None:
        with open(f"{self._place}/{name}", "w", encoding="ascii") as file:
            file.write(str(value))


def _remove_ended() -> None:
    for place in [*_ending]:
        try:
            os.rmdir(place)
        except FileNotFoundError:
            pass
        except OSError:  # EBUSY: killed, and not dead yet
            continue
        _ending.discard(place)


def _path(ours: str) -> str:
    lines = contents(ours).decode(errors="surrogateescape").splitlines()
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def delegated(tree: str = "", ours: str = "") -> str | None:
    """The nearest cgroup around our own that is ours to divide, and whose children have a memory
    limit. For root everything can be written: only what systemd has marked is its own."""
    return _delegated(tree or _TREE, ours or _OURS)


@lru_cache(maxsize=1)
def _delegated(tree: str, ours: str) -> str | None:
    path = _path(ours)
    while path and path != "/":
        place = tree + path
        divided = b"memory" in contents(f"{place}/cgroup.subtree_control").split()
        if divided and _may_divide(place):
            _clear(place)
            return place
        path = os.path.dirname(path)
    return None


def _may_divide(place: str) -> bool:
    if os.geteuid() != 0:
        return os.access(place, os.W_OK) and os.access(f"{place}/cgroup.procs", os.W_OK)
    for name in ("trusted.delegate", "user.delegate"):
        with suppress(OSError):
            if os.getxattr(place, name) == b"1":
                return True
    return False


def _clear(place: str) -> None:
    """Remove what commands have left that were killed."""
    for name in os.listdir(place):
        owner = name.removeprefix(_PREFIX).split("-")[0]
        if name.startswith(_PREFIX) and not os.path.exists(f"/proc/{owner}"):
            with suppress(OSError):
                os.rmdir(f"{place}/{name}")
