"""What the steps of a build say about those after them: user, directory, environment."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace

from e2brun.sandbox.contract import absolute
from e2brun.sandbox.local.template_setup import USERS, Place
from e2brun.server.builds.plan import Step

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class StepFailed(Exception):
    """A step that cannot be done, or that failed. `step` as clients are told it."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__(message)
        self.step, self.message = step, message


def resolved(path: str, place: Place) -> str:
    """A path as a step gives it; a slash at its end stays."""
    end = "/" if path.endswith(("/", "/.")) or path == "." else ""
    whole = absolute(path, place.cwd, USERS[place.user])
    return posixpath.normpath(whole).rstrip("/") + end or "/"


def after(number: int, step: Step, place: Place) -> Place:
    """With `step` done. Raises StepFailed for one that cannot be done there."""
    match step.kind:
        case "USER":
            return replace(place, user=_user(number, _one(number, step)))
        case "WORKDIR":
            # As at E2B: the first one that is relative begins at /, not at the home.
            path = posixpath.join(place.directory or "/", _one(number, step))
            return replace(place, directory=resolved(path, place).rstrip("/") or "/")
        case "ENV" | "ARG":
            more = _variables(number, step)
            return replace(place, environment={**place.environment, **more})
        case "RUN":
            acting(number, step, place)
        case _:
            if len(step.args) < 2 or not step.files_hash:
                raise StepFailed(str(number), "COPY needs a source, a target and filesHash")
    return place


def acting(number: int, step: Step, place: Place) -> Place:
    """Where a RUN runs: its second argument may name another user."""
    if not step.args or not step.args[0].strip():
        raise StepFailed(str(number), "RUN needs a command")
    if len(step.args) > 1 and step.args[1]:
        failed = f"failed to run command {step.args[0][:200]!r}: command failed: "
        return replace(place, user=_user(number, step.args[1], failed))
    return place


def _one(number: int, step: Step) -> str:
    if not step.args or not step.args[0]:
        raise StepFailed(str(number), f"{step.kind} needs an argument")
    return step.args[0]


def _user(number: int, name: str, failed: str = "") -> str:
    user = name.partition(":")[0]
    if user not in USERS:
        message = f"{failed}unauthenticated: invalid username: {name[:64]!r}"  # as at E2B
        raise StepFailed(str(number), f"{message}: there are user and root here")
    return user


def _variables(number: int, step: Step) -> dict[str, str]:
    if len(step.args) % 2:
        raise StepFailed(str(number), f"{step.kind} needs names and values")
    pairs = dict(zip(step.args[::2], step.args[1::2], strict=True))
    for name in pairs:
        if not _VARIABLE.fullmatch(name):
            raise StepFailed(str(number), f"{name[:64]!r} cannot be an environment variable")
    return pairs
