"""The template's packages that sandboxes do not start with: had when code first imports them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from e2brun.jobs.wanted import wanted
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.driver import TEMPLATE_DIRECTORY, Jail
from e2brun.sandbox.local.packages.store import make_directory, unkept
from e2brun.sandbox.local.packages.supply import Packages
from e2brun.sandbox.local.packages.template_layers import held


class PackagesOnDemand:
    """Every sandbox of the service sees `directory` of the host's, read-only; only what is there
    grows."""

    def __init__(self, packages: Packages, timeout: float, *, fetch: bool) -> None:
        """With `fetch`, what is not there is fetched, within `timeout` seconds. Raises
        InstallFailed."""
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
                found = await asyncio.to_thread(
                    self._packages.of_template, wants, python, self._timeout, fetch=self._fetch
                )
        return f"{TEMPLATE_DIRECTORY}/{found.parent.name}/{found.name}" if found else None
