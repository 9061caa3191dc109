"""What the service's sandboxes are made of: the packages of their template, and their limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from e2brun.errors import E2brunError
from e2brun.jobs.wanted import wanted
from e2brun.sandbox.contract import Limits
from e2brun.sandbox.local.interpreter import Interpreter, current_interpreter
from e2brun.sandbox.local.isolation.driver import TEMPLATE_DIRECTORY, Jail
from e2brun.sandbox.local.packages.installed import installed_layer
from e2brun.sandbox.local.packages.layers import Layers
from e2brun.sandbox.local.packages.npm import cached, typescript_layer
from e2brun.sandbox.local.packages.store import make_directory, unkept
from e2brun.sandbox.local.packages.supply import Packages
from e2brun.sandbox.local.packages.template_layers import held
from e2brun.sandbox.local.pythons import find_interpreter
from e2brun.sandbox.local.template_setup import Setup
from e2brun.sandbox.local.templates import beside, find, is_default, parted, requirements
from e2brun.sandbox.requirement import name_of
from e2brun.sandbox.threads import in_thread
from e2brun.server.http.messages import Refused
from e2brun.server.options import ServiceOptions
from e2brun.values import Network

log = logging.getLogger("e2brun.server")

_AGAIN_SECONDS = 60.0  # after a failure: a network may come back


class TemplateStore:
    """The packages, each had once."""

    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        directory, environment = options.cache_directory, options.environment or None
        timeout, room = options.install_timeout, options.room
        packages = Packages(directory, environment, log.warning, room, again=_AGAIN_SECONDS)
        self._exact, self._template = packages.exact(timeout), packages.template(timeout)
        self.on_demand = PackagesOnDemand(packages, timeout, fetch=options.fetch)
        self._layers: dict[tuple[Interpreter, tuple[str, ...]], str | None] = {}
        node_layer = cached(options.cache_directory)
        self._node_layer = str(node_layer) if node_layer and not options.lean else None
        self._pythons: dict[str, Interpreter] = {}
        self._building = asyncio.Lock()

    async def jail(self, setup: Setup, *, connected: bool) -> Jail:
        """A sandbox of a template, without an id. Raises ApiError."""
        options, template = self._options, find(setup.base)
        python = await self._python(setup.python)
        layer = await self._layer(setup.packages, python)
        full = template is not None and template.notebook and not options.lean
        return Jail(
            "",
            python,
            Limits(options.memory, options.processes, options.disk),
            layer,
            network=options.network if connected else Network.NONE,
            node_layer=self._node_layer if full else None,
            notebook=template is not None and template.notebook and layer is not None,
            template_layers=str(self.on_demand.directory) if is_default(setup.base) else None,
            service=True,
        )

    async def find_node_packages(self) -> None:
        """What TypeScript needs, for sandboxes made from now on; where it can be had."""
        if self._options.lean or self._node_layer:
            return
        directory, environment = self._options.cache_directory, self._options.environment or None
        found = await in_thread(lambda: typescript_layer(directory, environment), grace=0.0)
        self._node_layer = str(found) if found else None

    def ready(self, packages: Sequence[str]) -> bool:
        """Whether a template's packages are there already."""
        if self._options.lean or not packages:
            return True
        layers, names = self._kept(packages)
        return layers.cached(names, current_interpreter()) is not None

    async def _python(self, path: str) -> Interpreter:
        """Raises ApiError for one that has gone."""
        if path and path not in self._pythons:
            try:
                self._pythons[path] = await asyncio.to_thread(find_interpreter, path)
            except E2brunError as gone:
                raise Refused(500, f"the template's Python cannot be used: {gone}") from gone
        return self._pythons[path] if path else current_interpreter()

    async def _layer(self, packages: Sequence[str], python: Interpreter) -> str | None:
        """The directory of a template's packages, built the first time; where it has none, that
        of IPython, which cells need. Raises ApiError."""
        lean = self._options.lean and python == current_interpreter()
        wanted = parted(packages)[1] if lean else tuple(packages)
        key = python, wanted
        async with self._building:
            if key not in self._layers:
                try:
                    found = await in_thread(lambda: self.built(wanted, python))
                except E2brunError as error:
                    message = f"the template's packages could not be installed: {error}"
                    raise Refused(500, message) from error
                self._layers[key] = None if found is None else str(found)
            return self._layers[key]

    def built(self, packages: Sequence[str], python: Interpreter) -> Path | None:
        """Where its packages are, made if need be, or IPython's alone. Raises E2brunError."""
        if not packages:
            return self._bare(python)
        layers, names = self._kept(packages)
        return layers.layer(names, python)

    def _bare(self, python: Interpreter) -> Path | None:
        """IPython and pip as they are beside us. Where no pip is, as in a venv that uv made, one is
        had for sandboxes that reach an index."""
        found, options = installed_layer(self._options.cache_directory, python), self._options
        wanted = options.network is not Network.NONE and not options.lean
        if not wanted or found is None or "pip" in held(found):
            return found
        try:
            return self._exact.layer(("ipython", "pip"), python)
        except E2brunError as error:
            log.warning("there is no pip in templates without packages: %s", error)
            return found

    def _kept(self, packages: Sequence[str]) -> tuple[Layers, tuple[str, ...]]:
        """Where these are kept, and as what: in E2B's versions, if there is nothing else."""
        named, more = parted(packages)
        install = (*more, *self._options.install)
        return (self._exact, with_install(named, install)) if install else (self._template, named)


def with_install(packages: Sequence[str], install: Sequence[str]) -> tuple[str, ...]:
    """The requirements for both: the template's versions, but for what is named."""
    return (*requirements(beside(packages, map(name_of, install))), *install)


class PackagesOnDemand:
    """Those that sandboxes do not start with. Every sandbox of the service sees `directory` of the
    host's, read-only; only what is there grows."""

    def __init__(self, packages: Packages, timeout: float, *, fetch: bool) -> None:
        """With `fetch`, what is missing is fetched, in `timeout` seconds. Raises InstallFailed."""
        self._packages, self._timeout, self._fetch = packages, timeout, fetch
        self._layers = packages.template(timeout)
        self.directory = self._layers.directory
        self._held: dict[str, frozenset[str]] = {}
        self._fetching = asyncio.Lock()  # who waits for the other's fetching takes no thread
        try:
            make_directory(self.directory)
        except OSError as error:
            raise unkept("packages", self.directory, error) from error

    def missing(self, code: str, jail: Jail) -> frozenset[str]:
        """What code uses of the template, and its sandbox has not."""
        names = wanted((code,), cells=True)
        if not names or jail.layer is None:
            return frozenset()
        if jail.layer not in self._held:
            self._held[jail.layer] = frozenset(held(Path(jail.layer)))
        return frozenset(names) - self._held[jail.layer]

    async def place(self, names: Iterable[str]) -> str | None:
        """Where a sandbox finds these, fetched where they have to be; None: they cannot be had."""
        wants, python = tuple(sorted(names)), current_interpreter()
        found = self._layers.cached(wants, python)
        if found is None:
            async with self._fetching:
                found = await in_thread(
                    lambda: self._packages.of_template(
                        wants, python, self._timeout, fetch=self._fetch
                    )
                )
        return f"{TEMPLATE_DIRECTORY}/{found.parent.name}/{found.name}" if found else None
