"""The whole service in one object: what it is told, what it serves, how it starts and ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2brun.sandbox.contract import INSTALL_SECONDS, MIB, USUAL_ROOM, Room
from e2brun.sandbox.local.host.output import OutputBounds
from e2brun.server.app import App
from e2brun.server.sandboxes.durable import StateDirectory
from e2brun.server.sandboxes.registry import Registry
from e2brun.server.sandboxes.scratch import Scratch


@dataclass(frozen=True)
class ServiceOptions:
    """What the service is told. Sizes in bytes, for each sandbox."""

    key: str
    host: str = "127.0.0.1"
    port: int = 0  # as bound: it is part of the host names that sandboxes get
    max_sandboxes: int = 1200
    memory: int = 512 * MIB
    disk: int = 512 * MIB
    output: OutputBounds = OutputBounds()
    network: bool = False  # whether sandboxes may reach the internet
    cache_directory: Path = field(default_factory=lambda: Path.home() / ".cache" / "e2brun")
    allowed_hosts: frozenset[str] = frozenset()  # names, besides loopback's, in the Host header
    install: tuple[str, ...] = ()  # beside the packages of a template that has any
    fetch: bool = True  # packages of the template, when a cell first imports them
    lean: bool = False  # without the packages of their templates, which cannot be had
    environment: Mapping[str, str] = field(default_factory=dict[str, str])  # package indexes
    state: Path | None = None  # a directory for what is to outlive the service
    install_timeout: float = INSTALL_SECONDS  # seconds for the packages of one template
    room: Room = USUAL_ROOM


class Service:
    """Sandboxes behind E2B's protocol; `app` is the ASGI application."""

    def __init__(self, options: ServiceOptions) -> None:
        self.options = options
        self._scratch = Scratch() if options.state is None else StateDirectory(options.state)
        self.registry = Registry(options, self._scratch.path)
        self.app = App(self.registry, options)

    async def start(self) -> None:
        """Be ready for requests; called once, on the loop that serves them."""
        await self.registry.start()

    @property
    def busy(self) -> bool:
        """Whether there is a sandbox, or one is being made."""
        return self.registry.busy

    async def close(self) -> None:
        """Kill every sandbox, drop whoever talks to one, remove what was kept for them."""
        try:
            await self.registry.close()
        finally:
            self._scratch.close()
