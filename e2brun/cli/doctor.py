"""`e2brun doctor`: every check printed as it is done, or all of them as one JSON document; with
`--fix`, what apt can install is, after asking (all it says is on stderr)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

from e2brun.cli.signals import notice, print_document, write_line
from e2brun.errors import SandboxError, UsageError
from e2brun.report.columns import painted
from e2brun.report.safe import one_line
from e2brun.sandbox.check import Check, Status
from e2brun.settings import Settings, load_settings

_PACKAGES = {"bubblewrap": "bubblewrap", "network": "slirp4netns"}
_UPDATE_SECONDS, _INSTALL_SECONDS, _GRACE_SECONDS = 300.0, 600.0, 10.0

_WIDTH, _INDENT = 80, 22  # status and name stand in the first 22 columns
_TOLD = ("name", "status", "found", "remedy")
_COLORS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


def examine(*, as_json: bool, fix: bool, yes: bool) -> int:
    """Look at everything and say it; with `fix`, repair, and look again. Returns the exit code."""
    settings, wrong = _settings()
    found = _told(wrong, settings, as_json=as_json)
    if fix and _repair(found, ask=not yes):
        if not as_json:
            write_line("")
        found = _told(wrong, settings, as_json=as_json)
    works = not wrong and any(check.proves for check in found)
    if as_json:
        _print_json(found, works=works)
    elif works:
        write_line("\ne2brun can run code here.")
    else:
        write_line("\ne2brun cannot run code here; what failed above says what to do.")
    return 0 if works else SandboxError.exit_code


def _settings() -> tuple[Settings, list[Check]]:
    """The settings; where a file or a variable spoils them, the defaults, and what is wrong."""
    try:
        return load_settings(), []
    except UsageError as error:
        settings = load_settings(Path("/"), environ={})
        return settings, [Check("settings", Status.FAIL, str(error), error.hint)]


def _told(before: list[Check], settings: Settings, *, as_json: bool) -> list[Check]:
    from e2brun.sandbox.e2b import endpoint
    from e2brun.sandbox.local import health

    found: list[Check] = []
    proof = map(health.proof, [settings])  # made when it is asked for, after the others
    for check in chain(before, health.examine(settings), endpoint.examine(settings), proof):
        found.append(check)
        if not as_json:
            _print_check(check, settings)
    return found


def _print_check(check: Check, settings: Settings) -> None:
    lines = [*_wrapped(check.found, ""), *_wrapped(check.remedy, "-> ")]
    status = f"{check.status:<4}"
    if settings.colors(1):
        status = painted(status, _COLORS[check.status])
    write_line(f"{status} {check.name:<{_INDENT - 6}} " + f"\n{'':{_INDENT}}".join(lines))


def _wrapped(text: str, mark: str) -> list[str]:
    """`text` in lines that fit beside the name; paths and commands stay whole."""
    import textwrap

    return textwrap.wrap(
        one_line(text, 1000),
        width=_WIDTH - _INDENT,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _print_json(found: list[Check], *, works: bool) -> None:
    from e2brun import __version__

    document = {
        "schema": 1,
        "ok": works,
        "version": __version__,
        "checks": [{name: getattr(check, name) for name in _TOLD} for check in found],
    }
    print_document(document)


def _repair(found: list[Check], *, ask: bool) -> bool:
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
    start = _start_of_apt()
    if start is None or (ask and not _agreed(packages)):
        return False
    if not _ran([*start, "update"], _UPDATE_SECONDS):
        return False
    return _ran([*start, "install", "-y", "--no-install-recommends", *packages], _INSTALL_SECONDS)


def _start_of_apt() -> list[str] | None:
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
