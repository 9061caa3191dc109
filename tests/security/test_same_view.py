"""The first sandboxes of a command are bubblewrap's, later ones are forked: no program can tell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.security.probing import Probe

_PROGRAM = Path(__file__).with_name("view.py").read_text()
# Two sandboxes of one driver differ in these as well.
_OF_THIS_ONE = (
    "boot_id", "random/uuid", "dentry-state", "file-nr", "file-max", "inode-nr", "inode-state",
    "pty/nr", "ns_last_pid", "entropy_avail", "ctxt_switches", "Cpus_allowed",
)  # fmt: skip
# Where a zygote has rehearsed a cell, its error as well, more of IPython is imported already; the
# first cell of a command would have to wait for that.
_OF_A_CELL = ("modules",)
# How much memory our own first process has, which one driver forks and the other starts, and what
# chance adds to any process's.
_MEMORY = ("Vm", "Rss")


@pytest.fixture(scope="module", params=["root", "user"])
def both(request: pytest.FixtureRequest, probes: dict[str, Probe]) -> tuple[Probe, Probe]:
    """The two drivers, as one account."""
    if request.param not in probes:
        pytest.skip(f"no sandboxes can be made here as {request.param}")
    probe = probes[request.param]
    return replace(probe, driver="bubblewrap"), replace(probe, driver="forkserver")


def _flat(place: str, seen: Any) -> Iterator[tuple[str, str]]:
    """Each fact with where it was found."""
    if isinstance(seen, dict):
        for name, value in cast("dict[str, Any]", seen).items():
            yield from _flat(f"{place}/{name}", value)
    else:
        yield place, json.dumps(seen)


def _facts(probe: Probe, *, cell: bool) -> dict[str, str]:
    # Started in both: what is forked instead does not look like this.
    report = probe(_PROGRAM, cell=cell, argv=["env", "python3", "probe.py"])
    seen = report.answer
    text = json.dumps(seen).replace(seen["environment"]["E2B_SANDBOX_ID"], "ID")
    # Which user of the host's it is: as root each sandbox has another.
    text = re.sub(r"\b([ug]id)=\d+", r"\1=OWNER", text)
    facts = dict(_flat("", json.loads(text)))
    for kind in _OF_A_CELL if cell else ():
        del facts[f"/{kind}"]
    return {place: fact for place, fact in facts.items() if not _is_of_this_one(place)}


def _is_of_this_one(place: str) -> bool:
    kind, _, name = place.lstrip("/").partition("/")
    return name.endswith(_OF_THIS_ONE) or (
        kind == "status" and name.partition("/")[2].startswith(_MEMORY)
    )


@pytest.mark.parametrize(
    "cell", [False, pytest.param(True, marks=pytest.mark.in_turn(day=0))], ids=["program", "cell"]
)
def test_a_program_sees_the_same_in_a_first_and_in_a_later_sandbox(
    both: tuple[Probe, Probe], *, cell: bool
) -> None:
    first, later = (_facts(probe, cell=cell) for probe in both)
    assert len(first) > 1000
    places = {*first, *later}
    differ = {p: (first.get(p), later.get(p)) for p in places if first.get(p) != later.get(p)}
    assert differ == {}


def test_no_mount_names_a_place_of_the_host(both: tuple[Probe, Probe]) -> None:
    code = """
    import json
    lines = [line.split() for line in open("/proc/self/mountinfo")]
    print(json.dumps([[words[3], words[4], " ".join(words[-3:])] for words in lines]))
    """
    for probe in both:
        for inside, place, source in probe(code).answer:
            assert str(probe.directory) not in f"{inside} {source}", (inside, place, source)
            assert inside.count("/") == 1 or place.startswith("/proc"), (inside, place, source)


# When something was typed, and a disk used by anybody, is told by numbers in some of them; of the
# directories fs names disks and how they are mounted, irq counts, bus says what is built in.
_HIDDEN = ("cmdline", "config.gz", "keys", "key-users", "partitions", "diskstats", "interrupts",
           "softirqs", "swaps", "acpi", "asound", "bus", "fs", "irq", "scsi")  # fmt: skip


def test_the_kernel_s_settings_and_names_of_keys_are_not_to_be_seen(
    both: tuple[Probe, Probe],
) -> None:
    code = f"""
    import json, os
    names = ["/proc/" + name for name in {_HIDDEN}]
    found = [name for name in names if os.path.exists(name)]
    def size(name):
        return len(os.listdir(name) if os.path.isdir(name) else open(name, "rb").read())
    print(json.dumps({{name: size(name) for name in found}}))
    """
    for probe in both:
        assert set(probe(code).answer.values()) <= {0}
        outside = probe.outside(code)
        assert outside["/proc/cmdline"] > 0
        assert outside["/proc/interrupts"] > 0
        assert outside["/proc/irq"] > 0


def test_when_the_host_was_booted_is_told_by_no_number_of_its_own(
    both: tuple[Probe, Probe],
) -> None:
    """The same for all sandboxes of a host, it would say which of them are neighbours."""
    code = """
    import json
    print(json.dumps(open("/proc/sys/kernel/random/boot_id").read()))
    """
    ids = [probe(code).answer for probe in both] + [both[0].outside(code)]
    assert len(set(ids)) == 3
    assert {len(one) for one in ids} == {37}


def test_a_sandbox_is_the_first_to_go_when_memory_is_short(both: tuple[Probe, Probe]) -> None:
    code = """
    import json
    files = [open(f"/proc/{pid}/oom_score_adj") for pid in (1, "self")]
    print(json.dumps([int(file.read()) for file in files]))
    """
    for probe in both:
        assert probe(code).answer == [1000, 1000]
