"""The images that this machine can stand for: what they would bring is already there."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    """A built-in template in place of an image. `major`: that Node.js it must have, 0: any."""

    template: str
    note: str = ""
    node: bool = False
    major: int = 0


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
    found = _VERSION.match(tag)
    major = int(found[1]) if found else 0
    return StandIn(BASE.name, f"Node.js of this machine stands for node:{tag or 'latest'}",
                   node=True, major=major)  # fmt: skip


def _no(image: str) -> str:
    return (
        f"image {image[:200]!r} is not available: no images are fetched here; this machine "
        f"stands for {OFFERED}"
    )
