"""The whole service in one object: what it is told, what it serves, how it starts and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2brun.server.app import App
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes.durable import Scratch, StateDirectory
from e2brun.server.sandboxes.registry import Registry

if TYPE_CHECKING:
    from e2brun.server.builds.builder import Builder


def _builder(registry: Registry) -> Builder:
    from e2brun.server.builds.builder import Builder

    return Builder(registry, registry.directory, durable=registry.durable)


class Service:
    """Sandboxes behind E2B's protocol; `app` is the ASGI application."""

    def __init__(self, options: ServiceOptions) -> None:
        self.options = options
        self._scratch = Scratch() if options.state is None else StateDirectory(options.state)
        self.registry = Registry(options, self._scratch.path, _builder)
        self.app = App(self.registry, options)

    async def close(self) -> None:
        """Kill every sandbox, drop whoever talks to one, remove what was kept for them."""
        try:
            await self.registry.close()
        finally:
            self._scratch.close()
