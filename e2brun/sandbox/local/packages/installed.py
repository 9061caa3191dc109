"""The layer that cells need, made of the files of IPython that are installed beside e2brun.

It needs no network: IPython is a dependency of e2brun, and a sandbox whose Python is the one we
run on can have the very files. They are copied, since a layer never changes, and compiled, where
the installer did not: these are our own dependencies, not packages that a run has named.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.layers import sha256
from e2brun.sandbox.local.packages.store import Store
from e2brun.sandbox.requirement import normalized

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NAMES = ("ipython", "pip")  # the second only where it is installed: not every environment has it
_FORMAT = "3"  # raise it when what is copied changes
_LANDMARK = "IPython/core/release.py"  # rewritten with every version
_WAIT_SECONDS = 60.0


def installed_layer(cache_dir: Path, interpreter: Interpreter) -> Path | None:
    """The layer, made the first time; None where another Python than `interpreter` runs us, or
    IPython is not installed. Raises InstallFailed when it cannot be kept."""
    key = _key(interpreter)
    if key is None:
        return None
    store = Store(cache_dir)
    return store.take(key) or store.make(key, "IPython", _WAIT_SECONDS, _fill)


def _key(interpreter: Interpreter) -> str | None:
    """On the way of every first cell: a few stat(2), no metadata is read."""
    if interpreter.version != sys.version_info[:3]:
        return None
    for entry in sys.path:
        try:
            found = os.stat(f"{entry}/{_LANDMARK}")
        except OSError:
            continue
        about = (_FORMAT, interpreter.executable, entry, str(found.st_mtime_ns), str(found.st_ino))
        return sha256("\n".join(about).encode())
    return None


def _fill(packages: Path, _lock: int, _deadline: float) -> None:
    from e2brun.sandbox.local.packages.tree import entries

    _copy(packages)
    _compile(packages)
    for path, found in entries(str(packages)):  # for the sandbox's uid, whatever our umask is
        os.chmod(path, 0o755 if stat.S_ISDIR(found.st_mode) else 0o644)


def _copy(target: Path) -> None:
    from shutil import copy2

    for distribution in _distributions():
        for name in distribution.files or ():
            parts = name.parts
            if not parts or parts[0] == ".." or os.path.isabs(name):  # scripts, manual pages
                continue
            source, place = distribution.locate_file(name), target.joinpath(*parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                copy2(str(source), place)
            except FileNotFoundError:  # a .pyc that was recorded and has gone since
                continue


def _compile(target: Path) -> None:
    """A sandbox cannot write its own __pycache__: without, each would compile for seconds."""
    import compileall

    # Nothing in there tells where on this machine it was compiled.
    compileall.compile_dir(target, quiet=2, stripdir=str(target))


def _distributions() -> Iterator[Distribution]:
    """What is installed of `NAMES`, and of all that they need here."""
    from importlib.metadata import PackageNotFoundError, distribution

    from packaging.requirements import Requirement

    waiting, seen = list[str](NAMES), set[str]()
    while waiting:
        name = normalized(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        yield found
        for text in found.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
