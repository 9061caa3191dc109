"""A build as it was asked for: what it starts from, its steps, what runs in the end."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from dataclasses import dataclass
from typing import Any

from e2brun.server.http.fields import Fields, bad
from e2brun.server.http.messages import ApiError
from e2brun.values import is_table

_STEPS = 1000
_COMMAND = 128 * 1024  # characters: what execve(2) takes of one argument
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)  # of the files of a COPY
_GLOB = re.compile(r"[*?\[{]")
KINDS = ("ARG", "COPY", "ENV", "RUN", "USER", "WORKDIR")
CHANGING = frozenset({"COPY", "RUN", "WORKDIR"})  # what changes files; the others only say how


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction; `files_hash` names the archive of a COPY."""

    kind: str
    args: tuple[str, ...]
    files_hash: str = ""
    force: bool = False

    @property
    def line(self) -> str:
        """The step on one line, as in a Dockerfile."""
        return " ".join((self.kind, *(arg for arg in self.args if arg)))[:1000]

    def key(self, before: str) -> str:
        """What names its result, given the name of what was there before."""
        told = json.dumps([before, self.kind, self.args, self.files_hash])
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """One of `image` and `template` is given."""

    image: str
    template: str
    steps: tuple[Step, ...]
    start: str
    ready: str
    force: bool


def plan_of(body: dict[str, Any]) -> Plan:
    """What a client sent. Raises ApiError 400."""
    fields = Fields(body)
    image, template = fields.text("fromImage"), fields.text("fromTemplate")
    if bool(image) == bool(template):
        raise ApiError(400, "a build starts from an image or from a template: give one of the two")
    given = fields.items("steps") or []
    if len(given) > _STEPS:
        raise ApiError(400, f"a build has at most {_STEPS} steps")
    return Plan(
        image=image,
        template=template,
        steps=tuple(_step(number, step) for number, step in enumerate(given, 1)),
        start=_command(fields.text("startCmd"), "startCmd"),
        ready=_command(fields.text("readyCmd"), "readyCmd"),
        force=bool(fields.flag("force")),
    )


def _step(number: int, given: Any) -> Step:
    if not is_table(given):
        raise bad(f"steps[{number}]", "an object")
    fields = Fields(given)
    kind, files_hash = fields.text("type").upper(), fields.text("filesHash")
    if kind not in KINDS:
        raise ApiError(400, f"step {number}: there is no {kind[:40]!r}: {', '.join(KINDS)}")
    if files_hash and not HASH.fullmatch(files_hash):
        raise ApiError(400, f"step {number}: filesHash must be a SHA-256 in lower-case hex")
    args = tuple(_command(text, f"step {number}") for text in fields.texts("args") or [])
    return Step(kind, args, files_hash, bool(fields.flag("force")))


def _command(text: str, where: str) -> str:
    if len(text) > _COMMAND or "\0" in text:
        raise ApiError(400, f"{where}: longer than {_COMMAND} characters, or with a NUL in it")
    return text


def copied(pattern: str) -> str:
    """Where in its archive a COPY finds what it copies: the path before the first wildcard."""
    parts: list[str] = []
    for part in posixpath.normpath(pattern).split("/"):
        if _GLOB.search(part):
            break
        parts.append(part)
    return posixpath.join(*parts) if parts else "."
