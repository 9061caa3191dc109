"""The packages of templates, had before the first sandbox asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from e2brun.errors import SandboxError, UsageError
from e2brun.sandbox.contract import Room
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.layers import Layers
from e2brun.sandbox.local.packages.npm import typescript_layer
from e2brun.sandbox.local.packages.template_layers import TemplateLayers
from e2brun.sandbox.local.templates import (
    CODE_INTERPRETER,
    TEMPLATES,
    Template,
    find,
    requirements,
)
from e2brun.sandbox.requirement import name_of

DEFAULT = (CODE_INTERPRETER.name,)


def templates(names: Iterable[str]) -> tuple[Template, ...]:
    """Those of these names. Raises UsageError."""
    found: list[Template] = []
    for name in names:
        template = find(name)
        if template is None:
            known = " and ".join(one.name for one in TEMPLATES)
            raise UsageError(f"--template {name!a}: there are {known}")
        found.append(template)
    return tuple(found)


def with_install(packages: Sequence[str], install: Sequence[str]) -> tuple[str, ...]:
    """The requirements for both: the template's versions, but for what is named."""
    named = {name_of(text) for text in install}
    return (*requirements(name for name in packages if name not in named), *install)


class PackageCache(NamedTuple):
    """Where packages are kept, and what may be taken of time (seconds) and room."""

    directory: Path
    environment: Mapping[str, str] | None
    timeout: float
    room: Room


def preload(
    wanted: Iterable[Template],
    cache: PackageCache,
    notice: Callable[[str], None],
    install: Sequence[str] = (),
) -> bool:
    """Build what is not there yet, which takes a while, once. Whether all of it is there now.

    Raises InstallFailed, UsageError for what is to be there beside: `install`.
    """
    directory, environment, timeout, room = cache
    interpreter = current_interpreter()
    complete = True
    for template in wanted:
        layers: Layers | TemplateLayers
        if install:
            layers = Layers(directory, environment, timeout=timeout, room=room)
            packages = with_install(template.packages, install)
        else:
            layers = TemplateLayers(directory, environment, timeout=timeout, room=room)
            packages = template.packages
        if not template.packages or layers.cached(packages, interpreter):
            continue
        notice(f"fetching the packages of template {template.name}, once; this may take a minute")
        try:
            layers.layer(packages, interpreter)
            if template.notebook:  # what TypeScript needs; without it, such cells say so
                typescript_layer(directory, environment)
        except SandboxError as error:
            if install:
                raise
            notice(f"warning: {template.name} comes without its packages (no IPython, no numpy)")
            notice(f"they cannot be fetched: {error}")
            complete = False
    return complete
