"""Who may write to nearly all of its root changes nobody else's, and leads nothing of ours."""

from __future__ import annotations

import sys

import pytest

from tests.attack.wire import Sandbox, Wire

_LIBRARY = f"{sys.base_prefix}/lib"
# What pid 1 and its children load from, and where the host opens terminals.
_OURS = (
    "/opt/e2brun", "/opt/e2brun/agent/main.py", "/opt/e2brun/bin/python3", "/etc/ld.so.cache",
    "/lib/x86_64-linux-gnu", "/lib64", "/usr", "/dev/pts/ptmx", "/dev/null", _LIBRARY,
)  # fmt: skip
_ATTEMPTS = """
for place in {places}; do
    while [ "$place" != / ]; do
        mv -T "$place" "$place.moved"; mv -T / "$place"; rm -rf "$place.other"
        cp /bin/true "$place.other"; mv -fT "$place.other" "$place"; ln -f /bin/true "$place"
        rm -f "$place"; echo mine > "$place"; echo mine > "$place/mine"; chmod 777 "$place"
        mkdir -p "$place"
        place=${{place%/*}}; place=${{place:-/}}
    done
done >/dev/null 2>&1
"""
# Without what is in no two sandboxes the same.
_SEEN = """
find / -xdev ! -path '/proc*' -printf '%p %y %m %s %l\\n' | sort
find /etc /home /root -xdev -type f ! -name 'host*' -exec sha256sum {} + | sort
"""


@pytest.fixture
def seen_first(wire: Wire, victim: Sandbox) -> bytes:
    """What a sandbox sees before anything ran in another."""
    fresh = wire.create()
    try:
        return wire.run(fresh, _SEEN)
    finally:
        wire.kill(fresh)


@pytest.mark.parametrize("asking", ["", "sudo "])
def test_what_the_first_process_loads_stays_in_its_place(
    wire: Wire, stranger: Sandbox, asking: str
) -> None:
    facts = f"""
    for place in {" ".join(_OURS)}; do
        echo $place $(stat -L -c %F:%t:%T $place) $(ls $place | sha256sum)
    done
    sha256sum /etc/ld.so.cache /opt/e2brun/agent/main.py
    """
    before = wire.run(stranger, facts)
    assert before.count(b"\n") == len(_OURS) + 2
    program = _ATTEMPTS.format(places=" ".join(_OURS))
    wire.run(stranger, f"{asking}bash -c '{program}'")
    assert wire.run(stranger, facts) == before
    assert wire.is_healthy(stranger)


def test_one_sandbox_changes_nothing_that_the_next_sees(
    wire: Wire, stranger: Sandbox, seen_first: bytes
) -> None:
    changes = """
    for file in /etc/* /etc/skel/.* ~/.* /root/.*; do echo changed >> $file; done
    rm -rf /var/* /srv /media; mkdir -p /opt/new /mnt/new /etc/new /new
    """
    wire.run(stranger, f"sudo bash -c '{changes}' 2>/dev/null")
    assert b"/opt/new" in wire.run(stranger, "/usr/bin/find /opt -name new")
    following = [wire.create() for _ in range(8)]  # beyond those that were made before
    try:
        for fresh in following:
            assert wire.run(fresh, _SEEN) == seen_first
    finally:
        for fresh in following:
            wire.kill(fresh)


def test_what_is_written_to_etc_leads_neither_the_first_process_nor_the_file_worker(
    wire: Wire, stranger: Sandbox
) -> None:
    library = wire.run(stranger, "find /usr/lib -name 'libanl.so.1' | head -1").decode().strip()
    wire.run(stranger, f"echo {library} | sudo tee /etc/ld.so.preload")
    if library:  # a program is led: that is its own affair
        assert b"libanl" in wire.run(stranger, "cat /proc/self/maps")
    assert wire.run(stranger, "sudo echo said") == b"said\n"
    # Not dumpable: else their maps would be the user's to read.
    assert b"denied" in wire.run(stranger, "cat /proc/1/maps 2>&1")
    names = "passwd group nsswitch.conf localtime ld.so.preload ssl/openssl.cnf"
    hang = f"cd /etc; rm -f {names}; mkfifo {names}"  # whoever opens one waits for ever
    wire.run(stranger, f"sudo bash -c '{hang}'")
    kind = {"Content-Type": "application/octet-stream"}
    assert wire.envd(stranger, "POST", "/files?path=/opt/a/b", b"text", kind).status == 200
    assert wire.envd(stranger, "GET", "/files?path=/opt/a/b").body == b"text"
    assert wire.is_healthy(stranger)


def test_all_of_the_root_counts_for_the_disk(wire: Wire, stranger: Sandbox) -> None:
    fill = (
        "for d in /opt /var/log /etc /srv; do head -c 100M /dev/zero > $d/fill || echo full; done"
    )
    assert b"full" in wire.run(stranger, f"sudo bash -c '{fill}'")
    assert wire.run(stranger, "rm /opt/fill /var/log/fill; echo there") == b"there\n"
