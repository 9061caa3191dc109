"""`apt-get` and `apt` inside a sandbox: what this machine has is installed, all else cannot be.

The machine's list of packages is not shown inside. But each package has its directory in
/usr/share/doc, as Debian's policy wants it; and what has a program of its name is there, wherever
that came from. What is not asked for every day is for the real apt.
"""

from __future__ import annotations

import os
import shutil
import sys

_INSTALL = "install"
_CLEANING = {"clean", "autoclean", "auto-clean"}
_NOTHING_TO_DO = {"upgrade", "dist-upgrade", "full-upgrade", "autoremove", "auto-remove"}
_DONE = {_INSTALL, "update", *_CLEANING, *_NOTHING_TO_DO}
_WITH_VALUE = {
    "-o", "-t", "-c", "-a", "--option", "--target-release", "--default-release", "--config-file",
    "--host-architecture",
}  # fmt: skip
_PROGRAMS = {
    "attr": "setfattr", "nodejs": "node", "python-is-python3": "python", "python3-pip": "pip3",
    "ripgrep": "rg",
}  # fmt: skip
_LOCK = "/var/lib/dpkg/lock-frontend"
_REFUSED = 100


def main() -> None:
    """Do what the arguments say; the process ends."""
    command, names = _read(sys.argv[1:])
    if command not in _DONE:
        os.execv(f"/usr/bin/{os.path.basename(sys.argv[0])}", sys.argv)
    if os.environ.get("USER") != "root":  # which has no uid of its own everywhere
        _refuse(
            f"Could not open lock file {_LOCK} - open (13: Permission denied)",
            f"Unable to acquire the dpkg frontend lock ({_LOCK}), are you root?",
        )
    missing = [name for name in names if not _is_there(name)] if command == _INSTALL else []
    if "-qq" not in sys.argv and command not in _CLEANING:
        said = ["Reading package lists... Done"]
        if command != "update":
            said += ["Building dependency tree... Done", "Reading state information... Done"]
            if not missing:
                said += [f"{name} is already the newest version that is here." for name in names]
                said += ["0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded."]
        sys.stdout.write("\n".join([*said, ""]))
        sys.stdout.flush()
    if missing:
        why = "what this machine has can be used here, and nothing be added to it"
        _refuse(*(f"Unable to locate package {name}: {why}" for name in missing))


def _read(words: list[str]) -> tuple[str, list[str]]:
    """The command, and the names behind it; no command where nothing is to be done."""
    plain: list[str] = []
    left = iter(words)
    for word in left:
        if word in _WITH_VALUE:
            next(left, None)
        elif word in ("-s", "--simulate", "--dry-run", "-h", "--help", "-v", "--version"):
            return "", []
        elif not word.startswith("-"):
            plain.append(word)
    return (plain[0], plain[1:]) if plain else ("", [])


def _is_there(name: str) -> bool:
    """`curl`, `curl:amd64`, `curl=7.88*`, `curl/stable`; no files."""
    plain = name.partition("=")[0].partition(":")[0]
    if not plain.startswith((".", "/")):
        plain = plain.partition("/")[0]
    if not plain[:1].isalnum():
        return False
    program = shutil.which(_PROGRAMS.get(plain, plain))
    return program is not None or os.path.isdir(f"/usr/share/doc/{plain}")


def _refuse(*lines: str) -> None:
    sys.stderr.write("".join(f"E: {line}\n" for line in lines))
    sys.exit(_REFUSED)
