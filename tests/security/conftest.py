"""Every probe runs in real sandboxes: as root and as an ordinary user where the suite is root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests import turns
from tests.caches import with_ipython
from tests.security.probing import NOBODY, Probe, python_for_everyone, world_readable_copy

_ACCOUNTS = ("root", "user") if os.geteuid() == 0 else ("user",)
# Both drivers must hold everything: (account, driver).
_WAYS = [(account, driver) for driver in ("bubblewrap", "forkserver") for account in _ACCOUNTS]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test that is `crossed` each case runs as both accounts and in both drivers, in two ways
    instead of four: the next case in the other two. `crossed(ways=1)`: in one, the next case in the
    next. The other ways are a campaign, an eighth of them each day."""
    names = ["-".join(way) for way in _WAYS]
    numbers = defaultdict[Path, dict[str, int]](dict)  # of the cases of each file
    for item in items:
        crossed = item.get_closest_marker("crossed")
        if len(_ACCOUNTS) == 1 or crossed is None:
            continue
        way = next((index for index, name in enumerate(names) if name in item.name), None)
        if way is None:  # it does not ask for a probe
            continue
        cases = numbers[item.path]
        number = cases.setdefault(item.nodeid.replace(names[way], ""), len(cases))
        two = (number + way // 2 + way) % 2 == 0
        if way != number % 4 if crossed.kwargs.get("ways") == 1 else not two:
            turns.add(item, due=turns.is_due(number // 2 * 4 + way, 8))


@pytest.fixture(scope="session")
def shared_directory() -> Iterator[Path]:
    """A directory for everyone that is not below /tmp, with a copy of e2brun in it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="e2brun-probes-") as name:
        directory = Path(name)
        world_readable_copy(directory)
        yield directory


@pytest.fixture(scope="session")
def probes(shared_directory: Path) -> Iterator[dict[str, Probe]]:
    """One for each account that can run sandboxes here."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(shared_directory)}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "HOME": str(shared_directory)}
    with_ipython(shared_directory / "cache" / _ACCOUNTS[0])
    found = {
        _ACCOUNTS[0]: Probe(_ACCOUNTS[0], sys.executable, shared_directory, environment=environment)
    }
    python = python_for_everyone(shared_directory) if "root" in found else None
    if python is not None:
        setpriv = ("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups")
        found["user"] = Probe("user", python, shared_directory, setpriv, environment)
        _share_ipython(found["user"], shared_directory / "cache")
    yield found
    for probe in found.values():
        probe.close()


_NAME = """
import json, sys
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages import installed
print(json.dumps([installed._key(current_interpreter()), sys.version_info[:2]]))
"""


def _share_ipython(user: Probe, caches: Path) -> None:
    """A user's layer for cells may be root's: to make one takes five seconds. It goes by the name
    that it has for that user's Python."""
    name, version = user.outside(_NAME)
    if name is None or version != [*sys.version_info[:2]]:
        return
    [layer] = (with_ipython(caches / user.account) / "layers").iterdir()
    layer.rename(layer.with_name(name))
    for path in (layer.parent.parent, layer.parent):
        os.chown(path, int(NOBODY), int(NOBODY))


@pytest.fixture(scope="session", params=_WAYS, ids="-".join)
def probe(request: pytest.FixtureRequest, probes: dict[str, Probe]) -> Probe:
    """Runs a program in a sandbox of each driver, as each account in turn."""
    account, driver = request.param
    if account not in probes:
        pytest.skip("no Python here that an ordinary user can start (setpriv, python3 >= 3.11)")
    if refusal := _refusal(probes[account].prefix):
        pytest.skip(f"bubblewrap itself does not work here as {account}: {refusal}")
    return replace(probes[account], driver=driver)


@cache
def _refusal(prefix: tuple[str, ...]) -> str:
    bare = [*prefix, "bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    done = subprocess.run(bare, capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""
