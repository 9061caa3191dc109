"""Layers of the default template's packages, which grow: what has more than is needed serves.

CACHE/template/KEY/packages is such a layer, and CACHE/template/index says what each holds, a line
each: for which Python, its KEY, the packages it was made for, a bar, all that are in it. A new one
has what the newest has, so that a machine comes to few.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from e2brun.frozen import Frozen
from e2brun.sandbox.local import templates
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.layers import Layers, sha256
from e2brun.sandbox.local.packages.store import TEMPLATE
from e2brun.sandbox.requirement import normalized


class _Entry(Frozen):
    key: str
    made_for: tuple[str, ...]
    held: frozenset[str]


class TemplateLayers(Layers):
    """Those under one cache directory. What is required are names, as `templates.member` has
    them; one with more serves as well."""

    _STORE = TEMPLATE

    @property
    def directory(self) -> Path:
        """Where they are: nothing but public packages is in there."""
        return self._store.directory

    def cached(self, requirements: Collection[str], interpreter: Interpreter) -> Path | None:
        """The newest layer that has all of these."""
        for entry in reversed(self._entries(interpreter)):
            if entry.held.issuperset(requirements) and (found := self._store.take(entry.key)):
                return found
        return None

    def nearest(self, names: Collection[str], interpreter: Interpreter) -> Path | None:
        """That which has most of these, for when no other can be made."""
        entries = self._entries(interpreter)
        for entry in sorted(entries, key=lambda entry: -len(entry.held & set(names))):
            if not entry.held.isdisjoint(names) and (found := self._store.take(entry.key)):
                return found
        return None

    def layer(self, requirements: Collection[str], interpreter: Interpreter) -> Path:
        """With these and what the newest has; made the first time. Raises InstallFailed."""
        return self.cached(requirements, interpreter) or self._grown(requirements, interpreter)

    def _grown(self, requirements: Iterable[str], interpreter: Interpreter) -> Path:
        wanted, start = dict.fromkeys(requirements), None
        for entry in reversed(self._entries(interpreter)):
            if (start := self._store.take(entry.key)) is not None:
                wanted = dict.fromkeys((*entry.made_for, *wanted))
                break
        pinned = templates.requirements(sorted(wanted), interpreter.version)
        made = self._build(pinned, interpreter, start)
        self._note(made, wanted, interpreter)
        return made

    def missing(self, names: Iterable[str], interpreter: Interpreter) -> list[str]:
        """Those that the newest layer has not."""
        entries = self._entries(interpreter)
        return [name for name in names if not entries or name not in entries[-1].held]

    def _entries(self, interpreter: Interpreter) -> list[_Entry]:
        try:
            lines = (self.directory / "index").read_text("ascii").splitlines()
        except (OSError, UnicodeDecodeError):
            return []
        mark = f"{_edition(interpreter)} "
        found: list[_Entry] = []
        for line in lines:
            if line.startswith(mark) and " | " in line:
                first, _, held = line.removeprefix(mark).partition(" | ")
                key, *made_for = first.split()
                found.append(_Entry(key, tuple(made_for), frozenset(held.split())))
        return found

    def _note(self, layer: Path, made_for: Iterable[str], interpreter: Interpreter) -> None:
        parts = (_edition(interpreter), layer.parent.name, *made_for, "|", *sorted(held(layer)))
        line = " ".join(parts) + "\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with suppress(OSError):  # it is found anew the next time, and costs no network then
            descriptor = os.open(self.directory / "index", flags, 0o644)
            try:
                os.write(descriptor, line.encode("ascii"))  # at once: others may do the same
            finally:
                os.close(descriptor)


def _edition(interpreter: Interpreter) -> str:
    """Differs where the template's versions do, or those of Python."""
    pins = templates.requirements(sorted(templates.NAMED), interpreter.version)
    return sha256("\n".join((interpreter.abi, interpreter.executable, *pins)).encode())[:24]


def held(layer: Path) -> set[str]:
    """The names of all that is in a layer."""
    entries = (name for name in os.listdir(layer) if name.endswith(".dist-info"))
    return {normalized(name.partition("-")[0]) for name in entries}
