"""What a template sets up in each of its sandboxes, beside their files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from e2brun.sandbox.contract import HOME, USER

_PYTHON = re.compile(r"(?:/.*/)?(python3\.[0-9]{1,3}[a-z]{0,2})", re.ASCII | re.DOTALL)
USERS = {USER: HOME, "root": "/root"}  # name -> home directory


@dataclass(frozen=True, slots=True)
class Place:
    """As whom, where and with what in the environment a command runs."""

    user: str = USER
    directory: str = ""  # "": the user's home
    environment: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def cwd(self) -> str:
        """The directory: the user's home where none was given."""
        return self.directory or USERS[self.user]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a sandbox has from the start, by its template."""

    base: str  # the built-in template that it goes back to
    packages: tuple[str, ...] = ()
    place: Place = Place()  # of programs, where a client does not say; its environment is `start`'s
    start: str = ""  # a command that runs in it from the start
    ready: str = ""  # and one that succeeds once that is up
    python: str = ""  # a Python of this machine, as `python3.12`; "": the one that we run on

    def __post_init__(self) -> None:
        """A path of a Python is taken for its name: nothing is started because a list names it."""
        if self.python:
            match = _PYTHON.fullmatch(self.python)
            if match is None:
                raise ValueError("that is no name of a Python")
            object.__setattr__(self, "python", match[1])
