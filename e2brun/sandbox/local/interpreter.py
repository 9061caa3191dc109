"""Which Python runs inside: facts about an interpreter's base installation, never a venv's.

For the default interpreter no process is started, and nothing is imported but `os`, `sys` and
`site`, which every interpreter has loaded. Another one is found by `pythons`.
"""

from __future__ import annotations

import _imp  # as importlib.machinery has them: importing that takes as long as all of this
import os
import site
import sys
from collections.abc import Iterable

from e2brun.errors import SandboxUnavailable
from e2brun.frozen import Frozen

_current: list[Interpreter] = []


class Interpreter(Frozen):
    """One installed Python; paths are real (no symlink on the way)."""

    executable: str
    version: tuple[int, int, int]
    prefix: str
    site_packages: tuple[str, ...]  # where installed packages lie: what a sandbox has to mask
    purelib: str | None  # the one of those that is on sys.path first: where a layer is mounted
    abi: str = ""  # implementation, version, machine and C library: cpython-311-x86_64-linux-gnu


def current_interpreter() -> Interpreter:
    """The base installation of the Python that e2brun runs on."""
    if not _current:
        executables = (getattr(sys, "_base_executable", None), sys.executable)
        sites, suffix = site.getsitepackages([sys.base_prefix]), _imp.extension_suffixes()[0]
        found = described(executables, sys.version_info[:3], sys.base_prefix, sites, suffix)
        _current.append(found)
    return _current[0]


def described(
    executables: Iterable[str | None],
    version: tuple[int, int, int],
    prefix: str,
    sites: list[str],
    suffix: str,
) -> Interpreter:
    """From what an interpreter says of itself; `suffix` is that of its extension modules."""
    prefix = os.path.realpath(prefix)
    on_path = [path for path in dict.fromkeys(map(os.path.realpath, sites)) if os.path.isdir(path)]
    packages = dict.fromkeys(on_path)
    packages.update(dict.fromkeys(_package_directories(prefix, version)))
    if f"{prefix}/lib/python3/dist-packages" in on_path:
        # Debian's `site` also names lib/pythonX.Y/site-packages when asked from inside a venv;
        # the base interpreter itself never looks there.
        on_path = [path for path in on_path if path.endswith("/dist-packages")]
    return Interpreter(
        executable=_base_executable(executables, prefix, version),
        version=version,
        prefix=prefix,
        site_packages=tuple(packages),
        purelib=on_path[0] if on_path else None,
        abi=suffix.strip(".").removesuffix(".so"),
    )


def _package_directories(prefix: str, version: tuple[int, int, int]) -> Iterable[str]:
    """What package managers also use: Debian and Fedora install under PREFIX/local as well."""
    for library in ("lib", "lib64", "local/lib", "local/lib64"):
        for python in (f"python{version[0]}.{version[1]}", f"python{version[0]}"):
            for leaf in ("site-packages", "dist-packages"):
                path = f"{prefix}/{library}/{python}/{leaf}"
                if os.path.isdir(path):
                    yield os.path.realpath(path)


def _base_executable(
    executables: Iterable[str | None], prefix: str, version: tuple[int, int, int]
) -> str:
    by_convention = f"{prefix}/bin/python{version[0]}.{version[1]}"
    for path in (*executables, by_convention):
        real = os.path.realpath(path) if path else ""
        # Before 3.11, -S hides the base of a venv that holds a copy of its interpreter.
        if real and os.access(real, os.X_OK) and not _in_venv(real):
            return real
    raise SandboxUnavailable(
        f"the Python installation in {prefix} has no interpreter any more",
        hint="Make the virtual environment anew, or name another Python with --python.",
    )


def _in_venv(executable: str) -> bool:
    directory = os.path.dirname(executable)
    return os.path.exists(f"{directory}/pyvenv.cfg") or os.path.exists(
        f"{os.path.dirname(directory)}/pyvenv.cfg"
    )
