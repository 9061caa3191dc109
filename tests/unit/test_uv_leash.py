"""What uv may take of this machine, whatever a package has it do: said before it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from e2brun.sandbox.local.packages import wheels

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
