"""The packages of templates, had before the first sandbox asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from e2brun.errors import SandboxError, UsageError
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.npm import typescript_layer
from e2brun.sandbox.local.templates import CODE_INTERPRETER, TEMPLATES, Template, find
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes.templates import TemplateStore

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
    wanted: Iterable[Template], options: ServiceOptions, notice: Callable[[str], None]
) -> ServiceOptions:
    """Build what is not there yet, which takes a while, once: the options for a service that has
    it, or as much of it as can be had.

    Raises InstallFailed, UsageError for what is to be there beside: `options.install`.
    """
    store = TemplateStore(options)
    for template in wanted:
        if store.ready(template.packages):
            continue
        notice(f"fetching the packages of template {template.name}, once; this may take a minute")
        try:
            store.built(template.packages, current_interpreter())
            if template.notebook:  # what TypeScript needs; without it, such cells say so
                typescript_layer(options.cache_directory, options.environment or None)
        except SandboxError as error:
            if options.install:
                raise
            notice(f"warning: {template.name} comes without its packages (no IPython, no numpy)")
            notice(f"they cannot be fetched: {error}")
            options = replace(options, lean=True)
    return options
