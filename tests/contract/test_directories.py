"""Directories a sandbox is asked for: there before its first run, and its user's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from e2brun.sandbox.contract import Outcome, Program, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Driver
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from e2brun.settings import load_settings

_ASKED = ("/workspace", "/data/x", "/data/y z/ü", "/opt/app", "/home/user/w/x", "/tmp/t")


@pytest.mark.parametrize("driver", [Bubblewrap, Forkserver])
def test_directories_are_made_wherever_they_are(driver: Callable[[], Driver]) -> None:
    # Below what is the host's there is no place for them, and no harm is done.
    out = run_in(driver(), (*_ASKED, "/usr/nope", "/bin/x", "/proc/x", "/etc/hosts/x"), _LOOK)
    assert out.splitlines() == [
        *(f"{directory} user" for directory in _ASKED),
        "read-only root",
        "the host's stay",
    ]


_LOOK = f"""
for d in {" ".join(f"'{directory}'" for directory in _ASKED)}
do touch "$d/f" && echo "$d $(stat -c %U "$d")"; done
mkdir /other 2>/dev/null || echo read-only root
[ -e /usr/nope ] || [ -e /bin/x ] || [ ! -f /etc/hosts ] || echo "the host's stay"
"""


@pytest.mark.parametrize("driver", [Bubblewrap, Forkserver])
def test_files_there_count_as_files_of_the_sandbox(driver: Callable[[], Driver]) -> None:
    line = "head -c 600M /dev/zero > /workspace/f 2>/dev/null || echo full"
    assert run_in(driver(), ("/workspace",), line) == "full\n"


def run_in(driver: Driver, directories: tuple[str, ...], line: str) -> str:
    cache = str(load_settings(None, None).cache_dir)
    backend = LocalBackend(cache_directory=cache, driver=driver)
    out = bytearray()
    try:
        sandbox = backend.create(SandboxSpec(cells=False, directories=directories))
        ran = sandbox.run_program(
            Program(("bash", "-c", line)), timeout=20, stdout=out.extend, stderr=out.extend
        )
        assert ran.outcome is Outcome.OK, out
    finally:
        backend.close()
        if isinstance(driver, Forkserver):
            driver.close()
    return out.decode()
