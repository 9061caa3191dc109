"""The embedded backend: sandboxes on this machine, owned by this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.sandbox.contract import USUAL_ROOM, Room, SandboxSpec
from e2brun.sandbox.local.bubblewrap import Bubblewrap
from e2brun.sandbox.local.control import Control
from e2brun.sandbox.local.jail import Driver, Jail
from e2brun.sandbox.local.packages import Packages, ahead
from e2brun.sandbox.local.sandbox import LocalSandbox

if TYPE_CHECKING:
    from e2brun.sandbox.local.nursery import Nursery
    from e2brun.sandbox.local.sandbox import Layer

_ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


class LocalBackend:
    """Makes sandboxes with an isolation driver, and ends them."""

    name = "local"

    def __init__(
        self,
        *,
        cache_directory: str,
        driver: Driver | None = None,
        environment: Mapping[str, str] | None = None,
        room: Room = USUAL_ROOM,
        notice: Callable[[str], None] = lambda _: None,
        many: bool = False,
    ) -> None:
        """`environment` is where package indexes may be named, `room` what packages may take;
        `notice` takes lines to show; `many`: more than one sandbox will be wanted."""
        self._driver: Driver = driver or Bubblewrap()
        self._may_breed, self._many = driver is None, many
        self._nursery: Nursery | None = None
        self._created = 0
        self._cache_directory, self._environment = Path(cache_directory), environment
        self._packages = Packages(Path(cache_directory), environment, notice, room)
        self._sandboxes: dict[str, LocalSandbox] = {}

    def create(self, spec: SandboxSpec) -> LocalSandbox:
        """Start a sandbox; see the contract."""
        jail = self._jail(spec)
        sandbox = start(self._driver_for(jail), jail, spec, self._packages.layer)
        self._sandboxes[sandbox.id] = sandbox
        sandbox.forget = lambda id_: self._sandboxes.pop(id_, None)
        return sandbox

    def close(self) -> None:
        """Kill what is left."""
        for sandbox in tuple(self._sandboxes.values()):
            sandbox.kill()
        if self._nursery is not None:
            self._nursery.close()

    def _driver_for(self, jail: Jail) -> Driver:
        """A zygote costs what a few sandboxes cost and makes the rest cheap: not for the first,
        and not before it is ready. Where each would import IPython (100 ms) it pays at once."""
        self._created += 1
        at_once = self._many and jail.notebook
        if not self._may_breed or (self._created == 1 and not at_once):
            return self._driver
        if self._nursery is None:
            from e2brun.sandbox.local.nursery import Nursery

            self._nursery = Nursery(self._driver)
        return self._nursery if at_once or self._nursery.ready(jail) else self._driver

    def _jail(self, spec: SandboxSpec) -> Jail:
        from e2brun.sandbox.local import interpreter

        python = (
            interpreter.find_interpreter(spec.python)
            if spec.python
            else interpreter.current_interpreter()
        )
        layer = self._packages.of(spec, python)
        cells = self._packages.for_cells(python, spec.install_timeout) if spec.cells else None
        return Jail(
            new_id(),
            python,
            spec.limits,
            layer or cells,
            cells if layer else None,
            network=bool(spec.network),
            node_layer=self._node_layer(spec),
            notebook=spec.cells,
            directories=spec.directories,
            ahead=ahead(layer, spec.wants) if layer and spec.cells else (),
        )

    def _node_layer(self, spec: SandboxSpec) -> str | None:
        """What TypeScript needs; without it, its cells say so."""
        if spec.language != "typescript":
            return None
        from e2brun.sandbox.local.npm_layer import typescript_layer

        layer = typescript_layer(self._cache_directory, self._environment)
        return None if layer is None else str(layer)


def start(driver: Driver, jail: Jail, spec: SandboxSpec, layer: Layer) -> LocalSandbox:
    """One sandbox, which its caller kills. Raises SandboxError."""
    control = Control()
    try:
        jailed = driver.start(jail, control.agent_end())
    except BaseException:
        control.close()
        raise
    control.attach(jailed)
    try:
        return LocalSandbox(jail, spec, control, jailed, layer)
    except BaseException:
        jailed.end()
        control.close()
        jailed.reap()
        raise


def new_id() -> str:
    """A sandbox id as E2B's: `i` and 19 lower-case letters or digits."""
    # 256 is no multiple of 36: the bias costs less than a bit of the 98.
    return "i" + "".join(_ID_ALPHABET[byte % 36] for byte in os.urandom(19))
