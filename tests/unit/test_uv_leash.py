"""What uv may take of this machine, whatever a package has it do: said before it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from e2brun.errors import InstallFailed
from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.packages import uv_watch, wheels
from e2brun.sandbox.local.packages.uv_watch import Bounds, Watch

_LOOK = """
import json, resource
names = ("AS", "FSIZE", "CORE")
limits = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] for name in names}
print(json.dumps(limits))
"""


def test_uv_runs_on_a_leash() -> None:
    words = [str(os.getpid()), str(4 << 30), str(1 << 30), sys.executable, "-I", "-c", _LOOK]
    done = subprocess.run(
        [sys.executable, "-I", "-c", wheels._LEASH, *words], capture_output=True, check=True
    )
    limits = json.loads(done.stdout)
    assert 0 < limits["AS"] <= 4 << 30
    assert 0 < limits["FSIZE"] <= 1 << 30  # no file of it grows past that between two looks
    assert 0 <= limits["CORE"] <= 1


@pytest.fixture
def writer() -> Iterator[subprocess.Popen[bytes]]:
    """A program that has written 1 MiB, and does not end."""
    code = "import time; open('/dev/null', 'wb').write(bytes(2**20)); print(flush=True)"
    words = [sys.executable, "-I", "-c", f"{code}; time.sleep(600)"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_what_writes_more_than_a_layer_or_takes_too_long_is_given_up(
    writer: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with pytest.raises(InstallFailed, match=r"too large: more than 0\.5 MiB"):
        Watch(writer, tmp_path, Bounds(MIB // 2)).wait(monotonic() + 30)
    with pytest.raises(TimeoutError):
        Watch(writer, tmp_path, Bounds(8 * MIB)).wait(monotonic())


def test_a_disk_that_fills_up_meanwhile_ends_it(
    writer: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> int:
        raise InstallFailed("the disk is full")

    monkeypatch.setattr(uv_watch, "spare", full)
    with pytest.raises(InstallFailed, match="the disk is full"):
        Watch(writer, tmp_path, Bounds(8 * MIB)).wait(monotonic() + 30)
