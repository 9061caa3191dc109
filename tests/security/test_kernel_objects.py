"""What the kernel counts for all, or for all of a user: one sandbox leaves the others theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.probing import Probe

pytestmark = pytest.mark.crossed

# One of them. A sandbox takes all it can get; later its neighbour asks for one.
_ONE = {"inotify instances": "libc.inotify_init()", "terminals": "os.open('/dev/ptmx', os.O_RDWR)"}
_HOARD = """
import ctypes, os, time
libc = ctypes.CDLL(None)
for _ in range(24):
    if os.fork() == 0:
        kept = []
        try:
            while len(kept) < 240:
                kept.append({one})
        except OSError:
            pass
        time.sleep(10)
        os._exit(0)
time.sleep(10)
"""


@pytest.mark.parametrize("what", _ONE)
def test_a_sandbox_that_takes_all_leaves_its_neighbour_some(probe: Probe, what: str) -> None:
    hoard = _HOARD.format(one=_ONE[what])
    code = f"""
    import ctypes, json, os, time
    libc = ctypes.CDLL(None)
    time.sleep(2.5)
    print(json.dumps({_ONE[what]} >= 0))
    """
    assert probe(code, neighbour=hoard).answer is True


def test_a_sandbox_may_watch_no_more_files_than_are_counted(probe: Probe) -> None:
    code = """
    import json
    from e2brun.sandbox.local.isolation import rootfs
    rootfs.enter_user_namespace(1000)
    rootfs.limit_namespace(user_namespaces=1)
    with open("/proc/sys/user/max_inotify_watches") as file:
        print(json.dumps(int(file.read())))
    """
    assert probe.outside(code) == 65536


def test_a_sandbox_that_takes_all_inotify_instances_leaves_its_user_some(probe: Probe) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    count = "sum(libc.inotify_init() >= 0 for _ in range(250))"
    inside = probe(
        f"import ctypes, json\nlibc = ctypes.CDLL(None)\nprint(json.dumps({count}))"
    ).answer
    # As root a sandbox has a user of its own; else it is given half of what there is, or less.
    alone = (probe.account, probe.driver) == ("root", "bubblewrap")
    assert inside <= (most if alone else 64) <= most


_HAND_OVER = """
import array, errno, json, resource, socket
from e2brun.sandbox.local.agent.descriptors import hand_over
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
one, two = socket.socketpair()
often = array.array("i", [one.fileno()] * 200)
one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, often)])
try:
    hand_over(one, [b"y"], [one.fileno()])
    print(json.dumps(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
except OSError as error:
    print(json.dumps(errno.errorcode[error.errno]))
"""


def test_descriptors_of_ours_arrive_however_many_a_sandbox_has_sent(probe: Probe) -> None:
    """Those on their way are counted for an ordinary user's sandboxes and programs together."""
    assert probe.outside(_HAND_OVER) == 64
