"""`e2brun doctor --fix`: what apt can install, installed after asking. All it says is on stderr."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

from e2brun.cli.signals import notice
from e2brun.sandbox.check import Check, Status

_PACKAGES = {"bubblewrap": "bubblewrap", "network": "slirp4netns"}
_UPDATE_SECONDS, _INSTALL_SECONDS, _GRACE_SECONDS = 300.0, 600.0, 10.0


def repair(found: Iterable[Check], *, ask: bool) -> bool:
    """Install what is missing. True when something was, and a second look is worth while."""
    packages = [
        _PACKAGES[check.name]
        for check in found
        if check.name in _PACKAGES
        and check.status is not Status.OK
        and f"install -y {_PACKAGES[check.name]}" in check.remedy
    ]
    if not packages:
        notice("--fix: nothing is missing that apt could install")
        return False
    start = _start_of_commands()
    if start is None or (ask and not _agreed(packages)):
        return False
    if not _ran([*start, "update"], _UPDATE_SECONDS):
        return False
    return _ran([*start, "install", "-y", "--no-install-recommends", *packages], _INSTALL_SECONDS)


def _start_of_commands() -> list[str] | None:
    if shutil.which("apt-get") is None:
        notice("--fix needs apt-get, which is not here; install the packages in your system's way")
        return None
    start = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    if os.geteuid() == 0:
        return start
    if shutil.which("sudo") is None:
        notice("--fix needs root: there is no sudo here; ask an administrator")
        return None
    return ["sudo", *start]


def _agreed(packages: list[str]) -> bool:
    names = ", ".join(packages)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        notice(f"--fix would install {names}; nobody is here to ask, so add --yes")
        return False
    sys.stderr.write(f"e2brun: install {names} with apt-get? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _ran(command: list[str], seconds: float) -> bool:
    """Run it with its output on our stderr. False when it failed or took too long."""
    notice(" ".join(command))
    try:
        process = subprocess.Popen(command, stdout=2)
    except OSError as error:
        notice(f"--fix: {error}")
        return False
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        notice(f"--fix: not done after {seconds:g} s")
        return False
    finally:
        _end(process)
    if code != 0:
        notice(f"--fix: that failed with exit code {code}")
    return code == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
