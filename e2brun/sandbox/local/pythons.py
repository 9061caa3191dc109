"""Other Pythons of this machine, by name or path: each is found, and asked once what it is."""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock

from e2brun.errors import InstallFailed, UsageError
from e2brun.sandbox.local.interpreter import Interpreter, current_interpreter, described

_OLDEST = (3, 8)
_ASK_TIMEOUT = 15.0  # a pyenv shim on a cold disk takes a second or two

_ONE_AT_A_TIME = allocate_lock()  # sysconfig before Python 3.12 shows others what it half has

_NO_ANSWER = (-126, -124)  # it could not be started, it took too long

# Python 2 has to get through it far enough to be named. -S keeps the .pth files of a venv,
# which can run code, out of it; importing `site` under -S only defines its functions.
_QUESTION = """
import json, platform, site, sys
from importlib.machinery import EXTENSION_SUFFIXES
print(json.dumps([
    platform.python_implementation(), list(sys.version_info[:3]),
    [getattr(sys, "_base_executable", None), sys.executable], sys.base_prefix,
    site.getsitepackages([sys.base_prefix]), EXTENSION_SUFFIXES[0]]))
"""


def find_interpreter(name_or_path: str) -> Interpreter:
    """The installation behind `3.12`, `python3.12` or a path (a venv's Python: its base). Raises
    UsageError when there is none, it does not run, or is not CPython 3.8 or newer."""
    text = name_or_path.strip()
    if not text or text.startswith("-") or "\0" in text:
        raise UsageError(f"{name_or_path!r} is not the name or path of a Python")
    wanted = _version_named(text)
    if wanted and wanted == sys.version_info[: len(wanted)]:
        return current_interpreter()
    found = _ask(text, _locate(text, wanted))
    if found.version[: len(wanted)] != wanted:
        version = ".".join(map(str, found.version))
        raise UsageError(f"no Python {text} was found: {found.executable} is {version}")
    return found


def _version_named(text: str) -> tuple[int, ...]:
    """(3, 12) for `3.12` and `python3.12`; () for everything else."""
    parts = text.removeprefix("python").split(".")
    numeric = all(part.isascii() and part.isdigit() for part in parts)
    return tuple(map(int, parts)) if numeric and len(parts) <= 3 else ()


def _locate(text: str, wanted: tuple[int, ...]) -> str:
    import shutil

    if "/" in text or text.startswith("~"):
        path = os.path.expanduser(text)
        if os.path.isdir(path):  # an environment: ENV/bin/python is meant
            path = os.path.join(path, "bin", "python")
        if not os.path.exists(path):
            raise UsageError(f"{text}: no such Python")
        return os.path.abspath(path)
    found = shutil.which(f"python{'.'.join(map(str, wanted[:2]))}" if wanted else text)
    if found and "/shims/" in found:
        found = _behind_shim(found, wanted)
    if not found and wanted:
        found = _known_to_uv(text.removeprefix("python"))
    if not found:
        raise UsageError(
            f"no Python {text.removeprefix('python')} was found",
            hint="Name an installed one (its path, or a version on PATH), or install it: "
            f"uv python install {'.'.join(map(str, wanted)) or '3.12'}",
        )
    return found


def _behind_shim(shim: str, wanted: tuple[int, ...]) -> str | None:
    """pyenv's newest such Python: its shim refuses those that are installed but not chosen."""
    directory, name = os.path.split(shim)
    versions = f"{os.path.dirname(directory)}/versions"
    installed: list[tuple[tuple[int, ...], str]] = []
    for version in os.listdir(versions) if wanted and os.path.isdir(versions) else ():
        path, numbers = f"{versions}/{version}/bin/{name}", _version_named(version)
        if numbers[: len(wanted)] == wanted and os.access(path, os.X_OK):
            installed.append((numbers, path))
    if installed:
        return max(installed)[1]
    return shim if _output([shim, "-I", "-S", "-c", ""])[0] == 0 else None


def _known_to_uv(version: str) -> str | None:
    """A Python that uv installed, which is on nobody's PATH; downloads nothing."""
    try:
        uv = find_uv()
    except InstallFailed:
        return None
    code, stdout, _ = _output(
        [uv, "python", "find", "--no-config", "--no-python-downloads", version], cwd="/"
    )
    return stdout.strip() or None if code == 0 else None


def find_uv() -> str:
    """The uv that came with e2brun, else the one on PATH. Raises InstallFailed."""
    try:
        from uv import find_uv_bin

        with _ONE_AT_A_TIME:
            return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        import shutil

        found = shutil.which("uv")
    if not found:
        raise InstallFailed("uv, which installs packages, was not found", hint="pip install uv")
    return os.path.abspath(found)


def _ask(text: str, path: str) -> Interpreter:
    import json

    code, stdout, stderr = _output([path, "-I", "-S", "-c", _QUESTION])
    try:
        implementation, version, executables, prefix, sites, suffix = json.loads(stdout)
        version = (int(version[0]), int(version[1]), int(version[2]))
    except (ValueError, TypeError, IndexError):
        # Python 2 and other programs complain about options, which helps nobody.
        reason = stderr if code in _NO_ANSWER else "it does not answer as CPython 3.8 or newer does"
        raise UsageError(f"{text}: not a Python that can be used: {reason}") from None
    if implementation != "CPython" or version < _OLDEST:
        said = f"{implementation} {'.'.join(map(str, version))}"
        raise UsageError(f"{text} is {said}; CPython 3.8 or newer is needed")
    return described(executables, version, prefix, sites, suffix)


def _output(argv: list[str], cwd: str | None = None) -> tuple[int, str, str]:
    import subprocess

    try:
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_TIMEOUT,
            stdin=subprocess.DEVNULL,
            cwd=cwd,
        )
    except OSError as error:
        return _NO_ANSWER[0], "", error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return _NO_ANSWER[1], "", f"it gave no answer in {_ASK_TIMEOUT:g} s"
    return done.returncode, done.stdout, done.stderr
