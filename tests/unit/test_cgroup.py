"""A memory cgroup of its own, where part of the tree was handed to us: in a tree of files."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from e2brun.sandbox.contract import MIB, Limits, Program, SandboxSpec
from e2brun.sandbox.local import health
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.blocking import sandbox as blocking
from e2brun.sandbox.local.memory import cgroup, watch
from e2brun.sandbox.local.memory.cgroup import Cgroup
from e2brun.settings import load_settings

_LIMITS = Limits(memory=512 * MIB, disk=512 * MIB)
_SESSION = "user.slice/user-1000.slice/user@1000.service"
# Of a sandbox with 100 MiB of its own and 40 MiB of files it has read.
_STAT = f"""anon {90 * MIB}
file {45 * MIB}
shmem {5 * MIB}
inactive_anon {95 * MIB}
active_anon 0
inactive_file {30 * MIB}
active_file {10 * MIB}
slab_reclaimable {2 * MIB}
slab_unreclaimable {MIB}
"""


def _tree(directory: Path, controllers: str = "cpu memory pids") -> tuple[str, str]:
    """A user's own systemd, as systemd 252 makes it; and the file that says where we are."""
    tree = directory / "tree"
    scope = tree / _SESSION / "app.slice" / "terminal.scope"
    scope.mkdir(parents=True)
    for place in (tree / "user.slice", tree / _SESSION, scope.parent, scope):
        (place / "cgroup.procs").write_text("")
        (place / "cgroup.subtree_control").write_text("")
    (tree / _SESSION / "cgroup.subtree_control").write_text(f"{controllers}\n")
    ours = directory / "cgroup"
    ours.write_text(f"0::/{_SESSION}/app.slice/terminal.scope\n")
    return str(tree), str(ours)


@pytest.fixture
def delegated(tmp_path: Path) -> tuple[str, str]:
    tree, ours = _tree(tmp_path)
    if os.geteuid() == 0:
        try:
            os.setxattr(f"{tree}/{_SESSION}", "user.delegate", b"1")
        except OSError:
            pytest.skip("no extended attributes here")
    return tree, ours


def test_a_sandbox_is_moved_into_a_group_with_its_limit(delegated: tuple[str, str]) -> None:
    group = Cgroup.of(4711, _LIMITS, *delegated)
    assert group is not None
    place = Path(delegated[0], _SESSION, f"e2brun-{os.getpid()}-4711")
    assert (place / "cgroup.procs").read_text() == "4711"
    # The limit and a tenth, what of its files is free of charge, and time for the watch.
    assert int((place / "memory.max").read_text()) == (512 + 51 + 384 + 64) * MIB + 209_715
    assert (place / "memory.swap.max").read_text() == "0"
    assert int((place / "pids.max").read_text()) == 64 + 16
    assert int((place / "cpu.weight").read_text()) < 100  # who else is there comes first


def test_where_groups_can_be_made_is_looked_for_once(
    delegated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "_TREE", delegated[0])
    monkeypatch.setattr(cgroup, "_OURS", delegated[1])
    cgroup._delegated.cache_clear()
    assert cgroup.delegated() is not None
    assert Cgroup.of(4719, _LIMITS) is not None
    assert cgroup._delegated.cache_info().misses == 1
    cgroup._delegated.cache_clear()


def test_doctor_tells_who_watches_the_memory_of_sandboxes(
    delegated: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write to every group: it is not handed each for that."""
    for tree, told in ((delegated[0], "by the kernel"), ("/nowhere", "by polling")):
        monkeypatch.setattr(cgroup, "_TREE", tree)
        monkeypatch.setattr(cgroup, "_OURS", delegated[1])
        cgroup._delegated.cache_clear()
        assert told in health.cgroups().found
    cgroup._delegated.cache_clear()


def test_files_that_the_kernel_would_give_back_do_not_count(delegated: tuple[str, str]) -> None:
    group = Cgroup.of(4712, _LIMITS, *delegated)
    assert group is not None
    place = Path(delegated[0], _SESSION, f"e2brun-{os.getpid()}-4712")
    (place / "memory.stat").write_text(_STAT)
    (place / "memory.current").write_text(f"{142 * MIB}\n")
    assert group.used() == 100 * MIB
    events = "low 0\nhigh 0\nmax 12\noom 1\noom_kill {}\noom_group_kill 0\n"
    (place / "memory.events").write_text(events.format(0))
    assert not group.killed()
    (place / "memory.events").write_text(events.format(1))
    assert group.killed()


def test_nothing_is_made_where_the_memory_is_not_ours_to_divide(tmp_path: Path) -> None:
    tree, ours = _tree(tmp_path, controllers="cpu pids")
    assert Cgroup.of(4713, _LIMITS, tree, ours) is None
    assert Cgroup.of(4713, _LIMITS, str(tmp_path / "none"), ours) is None
    (tmp_path / "old").write_text("4:memory:/user\n1:name=systemd:/\n")
    assert Cgroup.of(4713, _LIMITS, tree, str(tmp_path / "old")) is None


@pytest.mark.parametrize("many", [False, True], ids=["bubblewrap", "forkserver"])
def test_nothing_is_asked_of_a_sandbox_before_it_is_in_its_group(
    delegated: tuple[str, str], monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    """What runs by then would never be in it, and its memory in no count."""
    tree, ours = delegated
    monkeypatch.setattr(cgroup, "_TREE", tree)
    monkeypatch.setattr(cgroup, "_OURS", ours)
    for module in (blocking, watch):
        monkeypatch.setattr(module, "CGROUPS", ours)
    cgroup._delegated.cache_clear()
    groups: list[list[Path]] = []
    with closing(
        LocalBackend(cache_directory=str(load_settings().cache_dir), many=many)
    ) as backend:
        for _ in range(2):  # after which one is born in advance
            backend.create(SandboxSpec(cells=True)).kill()
        sandbox = backend.create(SandboxSpec(cells=True))
        assert not sandbox._contexts  # pyright: ignore[reportPrivateUsage]
        request = sandbox.control.request

        def recorded(name: str, *given: Any, **more: Any) -> int:
            groups.append([*Path(tree, _SESSION).glob("e2brun-*/cgroup.procs")])
            return request(name, *given, **more)

        monkeypatch.setattr(sandbox.control, "request", recorded)
        sandbox.run_program(
            Program(("true",)), timeout=60, stdout=lambda _: None, stderr=lambda _: None
        )
    cgroup._delegated.cache_clear()
    assert groups
    assert all(groups)


@pytest.mark.skipif(os.geteuid() != 0, reason="root can write everywhere")
def test_root_takes_only_what_was_handed_to_it(tmp_path: Path) -> None:
    assert Cgroup.of(4714, _LIMITS, *_tree(tmp_path)) is None


def test_a_service_that_is_alone_in_a_group_of_its_own_makes_room_in_it(
    delegated: tuple[str, str],
) -> None:
    scope = Path(delegated[0], _SESSION, "app.slice", "terminal.scope")
    if os.geteuid() == 0:
        os.setxattr(scope, "user.delegate", b"1")
    (scope / "cgroup.procs").write_text(f"{os.getpid()}\n4711\n")
    assert not Cgroup.settle(*delegated)  # somebody else's shell
    (scope / "cgroup.procs").write_text(f"{os.getpid()}\n")
    assert Cgroup.settle(*delegated)
    own = scope / f"e2brun-{os.getpid()}-0"
    assert (own / "cgroup.procs").read_text() == str(os.getpid())
    assert int((own / "cpu.weight").read_text()) > 100  # its own work comes first
    (scope / "cgroup.subtree_control").write_text("cpu memory pids\n")  # as the kernel has it now
    Path(delegated[1]).write_text(f"0::/{own.relative_to(delegated[0])}\n")
    assert not Cgroup.settle(*delegated)  # another service of the same process
    cgroup._delegated.cache_clear()
    assert Cgroup.of(4716, _LIMITS, *delegated) is not None
    assert (scope / f"e2brun-{os.getpid()}-4716" / "memory.max").exists()


def test_the_kernel_keeps_memory_and_processes_in_a_hierarchy_of_our_own(tmp_path: Path) -> None:
    tree = _real_tree()
    ours = Path(tree, f"test-of-e2brun-{os.getpid()}")
    ours.mkdir()
    try:
        os.setxattr(ours, "trusted.delegate", b"1")
        words = [sys.executable, "-c", _IN_A_GROUP, tree, f"/{ours.name}", str(tmp_path / "ours")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.stderr) == ("memory kept\nprocesses kept\n", "")
    finally:
        for group in (*ours.iterdir(), ours):
            if group.is_dir():
                group.rmdir()


def _real_tree() -> str:
    """Skips where the kernel does not hand us memory and processes of a cgroup2 tree."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a cgroup hierarchy of its own")
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    places = [words[1] for words in mounts if words[2] == "cgroup2"]
    if not places:
        pytest.skip("no cgroup2 is mounted here")
    handed = Path(places[0], "cgroup.subtree_control").read_text().split()
    if missing := {"memory", "pids"} - set(handed):
        pytest.skip(f"cgroup2 at {places[0]} does not hand on {', '.join(sorted(missing))}")
    return places[0]


_IN_A_GROUP = """
import os, pathlib, signal, subprocess, sys
from e2brun.sandbox.contract import MIB, Limits
from e2brun.sandbox.local.memory.cgroup import Cgroup
tree, path, ours = sys.argv[1:]
pathlib.Path(tree + path, "cgroup.procs").write_text(str(os.getpid()))
pathlib.Path(ours).write_text(f"0::{path}")
assert Cgroup.settle(tree, ours)
pathlib.Path(ours).write_text(f"0::{path}/e2brun-{os.getpid()}-0")
def inside(code, **limits):
    words = [sys.executable, "-c", "input()\\n" + code]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    group = Cgroup.of(child.pid, Limits(**limits), tree, ours)
    child.communicate(b"\\n")
    killed = group.killed()
    group.remove()
    return child.returncode, killed
if inside("x = bytearray(b'x' * (1 << 30))", memory=64 * MIB, disk=0) == (-signal.SIGKILL, True):
    print("memory kept")
many = "import os, sys\\ntry:\\n  for _ in range(99): os.fork() or os._exit(0)\\n"
many += "except OSError: sys.exit(7)"
if inside(many, processes=8) == (7, False):
    print("processes kept")
"""


def test_a_group_whose_processes_are_still_ending_goes_with_the_next(
    delegated: tuple[str, str],
) -> None:
    first, second = (Cgroup.of(pid, _LIMITS, *delegated) for pid in (4717, 4718))
    assert first is not None
    assert second is not None
    places = [Path(delegated[0], _SESSION, f"e2brun-{os.getpid()}-{pid}") for pid in (4717, 4718)]
    first.remove()  # its files stand for what keeps rmdir(2) from it
    assert places[0].exists()
    for place in places:
        for file in place.iterdir():
            file.unlink()
    second.remove()
    Cgroup.leave()
    assert not any(place.exists() for place in places)


def test_what_a_killed_command_has_left_is_removed(delegated: tuple[str, str]) -> None:
    left = Path(delegated[0], _SESSION, "e2brun-999999999-5")
    left.mkdir()
    assert Cgroup.of(4715, _LIMITS, *delegated) is not None
    assert not left.exists()
