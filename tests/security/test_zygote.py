"""A zygote imports packages that nobody has reviewed: it is confined before, and so is what it
becomes. Seen from the host, where nothing inside can say otherwise."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from tests.security.probing import Probe
from tests.security.test_network_option import able_to_go_online

_LOOK = """
import json, os, sys, time
from e2brun.sandbox.contract import Network, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.isolation.forkserver import Forkserver

def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\\n").split(":\\t", 1) for line in file if ":\\t" in line)

def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()

forkserver = Forkserver()
backend = LocalBackend(cache_directory=CACHE, driver=forkserver)
spec = SandboxSpec(network=Network(NETWORK))
sandboxes = [backend.create(spec) for _ in range(3)]
for sandbox in sandboxes:
    sandbox.watch()
zygote, = children(forkserver.pids()[0])
if os.geteuid() == 0:  # who has just said hello still has what it handed over with it
    end = time.monotonic() + 30
    while time.monotonic() < end and any(
        len(os.listdir(f"/proc/{pid}/fd")) > 6 for pid in children(zygote)
    ):
        time.sleep(0.02)
names = ("Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
         "Seccomp_filters", "NSpid")
look = lambda pid: {name: status(pid)[name] for name in names} | {
    "descriptors": os.listdir(f"/proc/{pid}/fd") if os.geteuid() == 0 else []
}
print(json.dumps([look(zygote), [look(pid) for pid in children(zygote)]]))
backend.close()
"""
_SETGID, _SETUID = 6, 7


@pytest.fixture(
    scope="module", params=[("root", "none"), ("root", "internet"), ("user", "internet")]
)
def seen(request: pytest.FixtureRequest, probes: dict[str, Probe]) -> Any:
    """The account, what its zygote is, and what three sandboxes of it are."""
    account, network = request.param
    if account not in probes:
        pytest.skip(f"no sandboxes can be made here as {account}")
    probe = replace(probes[account], driver="forkserver")
    if network == "internet":
        probe = able_to_go_online(probe)
    cache = str(probe.directory / "cache" / account)
    return account, *probe.outside(f"CACHE, NETWORK = {cache!r}, {network!r}\n{_LOOK}")


def test_a_zygote_lives_behind_a_filter(seen: Any) -> None:
    _, zygote, sandboxes = seen
    assert (zygote["NoNewPrivs"], zygote["Seccomp"], zygote["Seccomp_filters"]) == ("1", "2", "1")
    assert {sandbox["Seccomp_filters"] for sandbox in sandboxes} == {"2"}


def test_a_zygote_may_become_another_of_its_own_users_and_nothing_else(seen: Any) -> None:
    account, zygote, sandboxes = seen
    most = 1 << _SETGID | 1 << _SETUID if account == "root" else 0
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(zygote[name], 16) | most == most, name
        assert {int(sandbox[name], 16) for sandbox in sandboxes} == {0}, name


def test_a_sandbox_has_no_descriptor_of_its_zygote_s(seen: Any) -> None:
    """Beside 0, 1 and 2 the host's socket, and two that wake the first process."""
    account, _, sandboxes = seen
    if account != "root":
        pytest.skip("only root sees them")
    for sandbox in sandboxes:
        assert {"0", "1", "2", "3"} <= {*sandbox["descriptors"]}
        assert len(sandbox["descriptors"]) == 6


def test_each_sandbox_of_a_zygote_is_a_user_of_its_own(seen: Any) -> None:
    """An ordinary user has no others to give."""
    account, zygote, sandboxes = seen
    users = [sandbox["Uid"].split()[0] for sandbox in sandboxes]
    assert len(users) == 3
    if account == "root":
        assert len({*users, zygote["Uid"].split()[0], str(os.getuid())}) == 5
    else:
        assert set(users) == {zygote["Uid"].split()[0]}
