"""What the service is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from e2brun.sandbox.contract import INSTALL_SECONDS, MIB, USUAL_ROOM, Limits, Room
from e2brun.sandbox.local.host.output import OutputBounds
from e2brun.settings import Settings, package_environment
from e2brun.values import Network


@dataclass(frozen=True)
class ServiceOptions:
    """What the service is told. Sizes in bytes, for each sandbox."""

    key: str
    host: str = "127.0.0.1"
    port: int = 0  # as bound: it is part of the host names that sandboxes get
    domain: str = ""  # what those end in where it is not localhost and the port
    max_sandboxes: int = 1200
    memory: int = 512 * MIB
    processes: int = Limits().processes  # and threads
    disk: int = 512 * MIB
    total_memory: int = 0  # of all together, files too; 0: three quarters of what is free
    total_disk: int = 0  # files of all together, also those kept on disk; 0: likewise
    volume_size: int = 1024 * MIB
    output: OutputBounds = OutputBounds()
    network: Network = Network.NONE  # what sandboxes can reach, unless their creators want less
    cache_directory: Path = field(default_factory=lambda: Path.home() / ".cache" / "e2brun")
    allowed_hosts: frozenset[str] = frozenset()  # names, besides loopback's, in the Host header
    install: tuple[str, ...] = ()  # beside the packages of a template that has any
    fetch: bool = True  # packages of the template, when a cell first imports them
    lean: bool = False  # without the packages of their templates, which cannot be had
    environment: Mapping[str, str] = field(default_factory=dict[str, str])  # package indexes
    templates_of: Path | None = None  # another service's state, whose templates it has, too
    state: Path | None = None  # a directory for what is to outlive the service
    install_timeout: float = INSTALL_SECONDS  # seconds for the packages of one template
    room: Room = USUAL_ROOM

    @classmethod
    def of(cls, settings: Settings, key: str) -> ServiceOptions:
        """What the user's settings say of it, and the environment of packages."""
        return cls(
            key=key,
            memory=settings.memory,
            processes=settings.processes,
            disk=settings.disk,
            network=settings.network or Network.NONE,
            cache_directory=settings.cache_dir,
            fetch=settings.fetch,
            environment=package_environment(),
            install_timeout=settings.install_timeout,
            room=Room(settings.install_size, settings.cache_size),
        )
