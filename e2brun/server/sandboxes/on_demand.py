"""The template's packages that sandboxes do not start with: had when code first imports them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path
from time import monotonic

from e2brun.errors import SandboxError
from e2brun.jobs.wanted import wanted
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.driver import TEMPLATE_DIRECTORY, Jail
from e2brun.sandbox.local.packages.store import make_directory, unkept
from e2brun.sandbox.local.packages.template_layers import TemplateLayers, held

log = logging.getLogger("e2brun.server")

_AGAIN_SECONDS = 60.0  # after a failure: a network may come back


class PackagesOnDemand:
    """Every sandbox of the service sees it, read-only; only what is there grows."""

    def __init__(self, layers: TemplateLayers, *, fetch: bool) -> None:
        """With `fetch`, what is not there is fetched. Raises InstallFailed."""
        self._layers, self._fetch = layers, fetch
        self._held: dict[str, frozenset[str]] = {}
        self._failed: dict[frozenset[str], float] = {}
        self._fetching = asyncio.Lock()
        try:
            make_directory(layers.directory)
        except OSError as error:
            raise unkept("packages", layers.directory, error) from error

    @property
    def directory(self) -> Path:
        """Where it is on the host."""
        return self._layers.directory

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
        wants, python = frozenset(names), current_interpreter()
        found = self._layers.cached(wants, python)
        if found is None and self._fetch:
            async with self._fetching:
                found = self._layers.cached(wants, python)
                if found is None and monotonic() > self._failed.get(wants, 0.0):
                    found = await asyncio.to_thread(self._fetched, wants)
        found = found or self._layers.nearest(wants, python)
        return (
            f"{TEMPLATE_DIRECTORY}/{found.parent.name}/{found.name}" if found is not None else None
        )

    def _fetched(self, wants: frozenset[str]) -> Path | None:
        names = sorted(wants)
        log.warning("fetching %s of the template, once", ", ".join(names))
        try:
            return self._layers.layer(names, current_interpreter())
        except SandboxError as error:
            self._failed[wants] = monotonic() + _AGAIN_SECONDS
            log.warning("%s cannot be had: %s", ", ".join(names), error)
            return None
