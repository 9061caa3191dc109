"""The packages of templates, had before the first sandbox asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from e2brun.errors import SandboxError, UsageError
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

if TYPE_CHECKING:
    from e2brun.server.options import ServiceOptions

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


def preload(
    wanted: Iterable[Template], options: ServiceOptions, notice: Callable[[str], None]
) -> ServiceOptions:
    """Build what is not there yet, which takes a while, once: the options for a service that has
    it, or as much of it as can be had.

    Raises InstallFailed, UsageError for what is to be there beside: `options.install`.
    """
    directory, environment = options.cache_directory, options.environment or None
    timeout, room = options.install_timeout, options.room
    interpreter = current_interpreter()
    for template in wanted:
        layers: Layers | TemplateLayers
        if options.install:
            layers = Layers(directory, environment, timeout=timeout, room=room)
            packages = with_install(template.packages, options.install)
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
            if options.install:
                raise
            notice(f"warning: {template.name} comes without its packages (no IPython, no numpy)")
            notice(f"they cannot be fetched: {error}")
            options = replace(options, lean=True)
    return options
