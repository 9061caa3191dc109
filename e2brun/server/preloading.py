"""The packages of templates, had before the first sandbox asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from e2brun.errors import SandboxError, UsageError
from e2brun.sandbox.contract import Room
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.layers import Layers
from e2brun.sandbox.local.npm_layer import typescript_layer
from e2brun.sandbox.local.templates import CODE_INTERPRETER, TEMPLATES, Template, find

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


def preload(
    wanted: Iterable[Template],
    cache_directory: Path,
    environment: Mapping[str, str],
    notice: Callable[[str], None],
    *,
    room: Room,
    timeout: float,
) -> bool:
    """Build what is not there yet, which takes a while, once. Whether all of it is there now."""
    layers = Layers(cache_directory, environment or None, timeout=timeout, room=room)
    interpreter = current_interpreter()
    complete = True
    for template in wanted:
        if not template.requirements or layers.cached(template.requirements, interpreter):
            continue
        notice(f"fetching the packages of template {template.name}, once; this may take a minute")
        try:
            layers.layer(template.requirements, interpreter)
            if template.notebook:  # what TypeScript needs; without it, such cells say so
                typescript_layer(cache_directory, environment or None)
        except SandboxError as error:
            notice(f"warning: {template.name} comes without its packages (no IPython, no numpy)")
            notice(f"they cannot be fetched: {error}")
            complete = False
    return complete
