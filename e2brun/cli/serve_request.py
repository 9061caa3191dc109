"""What `e2brun serve` was asked, and the variables that tell others where it is."""

from __future__ import annotations

from dataclasses import dataclass

NAMES = ("E2B_API_URL", "E2B_SANDBOX_URL", "E2B_API_KEY", "E2B_VOLUME_API_URL")


@dataclass(frozen=True)
class ServeRequest:
    """What was asked on the command line."""

    command: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 0
    key: str | None = None
    names: tuple[str, ...] = ()  # by which others may address it
    max_sandboxes: int = 1200
    memory: str | None = None
    disk: str | None = None
    total_memory: str | None = None
    total_disk: str | None = None
    volume_size: str | None = None
    max_output: str | None = None
    output_rate: str | None = None
    network: str | None = None
    templates: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()  # files of them
    env_file: str | None = None
    state: str | None = None
    https: bool = False
    as_json: bool = False
    quiet: bool = False
