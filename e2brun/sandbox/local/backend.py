"""The embedded backend: sandboxes on this machine, owned by this process."""

from __future__ import annotations

import os
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.errors import SandboxError
from e2brun.sandbox.contract import USUAL_ROOM, Room, SandboxSpec
from e2brun.sandbox.local.blocking.starting import start
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Driver, Jail, has_ended, new_id
from e2brun.values import Network

if TYPE_CHECKING:
    from e2brun.sandbox.local.blocking.sandbox import LocalSandbox
    from e2brun.sandbox.local.blocking.spare import Spare
    from e2brun.sandbox.local.interpreter import Interpreter
    from e2brun.sandbox.local.isolation.forkserver import Forkserver
    from e2brun.sandbox.local.mirror.link import Mirror
    from e2brun.sandbox.local.own_templates import OwnTemplate
    from e2brun.sandbox.local.packages.supply import Packages

_MOST_DYING = 8  # whose processes are gone, or as good as gone


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
        self._forkserver: Forkserver | None = None
        self._lock = allocate_lock()
        self._created = 0
        self.own_templates: Path | None = None  # the state directory of a service that built some
        self._own_found: dict[str, OwnTemplate] = {}
        self._cache_directory, self._environment = Path(cache_directory), environment
        self._room, self._notice = room, notice
        self._pythons: dict[str, Interpreter] = {}
        self._supply: Packages | None = None
        self._mirror: Mirror | None = None
        self._sandboxes: dict[str, LocalSandbox] = {}
        self._spares: list[Spare] = []  # one at most, or one for each thread
        self._dying: deque[int] = deque()  # pidfds

    def create(self, spec: SandboxSpec) -> LocalSandbox:
        own = self._own(spec.template)
        if own is not None:
            spec = own.applied(spec)
        jail = self._jail(spec)
        if own is not None or spec.sudo:  # as in a service: where it was built, root could write
            jail = jail.but(service=True)
        driver = self._driver_for(jail)
        admit = self._admit() if jail.network is Network.PACKAGES else None
        sandbox = start(driver, jail, spec, self._layer, self._spare(jail), admit)
        self._sandboxes[sandbox.id] = sandbox
        sandbox.forget = lambda id_: self._sandboxes.pop(id_, None)
        if driver is self._forkserver:
            sandbox.wait_for_end = self._wait_later
        if own is not None:
            try:
                own.furnish(sandbox)
            except BaseException:
                sandbox.kill()
                raise
        elif driver is self._forkserver and self._created > 1:
            self._expect_another(driver, jail, spec)
        return sandbox

    def close(self) -> None:
        for sandbox in tuple(self._sandboxes.values()):
            sandbox.kill()
        while self._spares:
            self._spares.pop().end()
        self._wait_for_dying(0)
        if self._forkserver is not None:
            self._forkserver.close()
        if self._mirror is not None:
            self._mirror.close()

    def _wait_later(self, agent: int) -> None:
        """The kernel takes milliseconds to take a sandbox apart, most of which it waits: the next
        is made meanwhile."""
        self._dying.append(os.dup(agent))
        self._wait_for_dying(_MOST_DYING)

    def _wait_for_dying(self, left: int) -> None:
        while len(self._dying) > left:
            with suppress(IndexError):  # another thread was faster
                agent = self._dying.popleft()
                has_ended(agent)
                os.close(agent)

    def _admit(self) -> Callable[[int], int]:
        if self._mirror is None:
            from e2brun.sandbox.local.mirror.link import Mirror

            self._mirror = Mirror(self._environment, self._room)
        return self._mirror.admit

    def _spare(self, jail: Jail) -> Spare | None:
        while self._spares:
            with suppress(IndexError):  # another thread was faster
                spare = self._spares.pop()
                if spare.fits(jail):
                    return spare
                spare.end()
        return None

    def _expect_another(self, driver: Driver, jail: Jail, spec: SandboxSpec) -> None:
        """Who has asked for two will want a third."""
        from e2brun.sandbox.local.blocking.spare import Spare

        if not self._spares:
            with suppress(SandboxError):  # then there is none; who asks is told why
                self._spares.append(Spare(driver, jail, spec))

    def _own(self, name: str | None) -> OwnTemplate | None:
        """None for a built-in template. Raises UsageError for one that there is not."""
        if name is None:
            return None
        from e2brun.sandbox.local import templates

        if self.own_templates is None or templates.find(name) is not None:
            return None
        if name not in self._own_found:
            from e2brun.sandbox.local import own_templates

            self._own_found[name] = own_templates.find(name, self.own_templates)
        return self._own_found[name]

    @property
    def _packages(self) -> Packages:
        """Made when somebody needs some: many programs do not."""
        if self._supply is None:
            from e2brun.sandbox.local.packages.supply import Packages

            self._supply = Packages(
                self._cache_directory, self._environment, self._notice, self._room
            )
        return self._supply

    def _layer(self, requirements: Sequence[str], python: Interpreter, timeout: float) -> Path:
        return self._packages.layer(requirements, python, timeout)

    def _driver_for(self, jail: Jail) -> Driver:
        """A zygote costs what a few sandboxes cost and makes the rest cheap: not for the first,
        and not before it is ready. Where each would import IPython (100 ms) it pays at once."""
        self._created += 1
        at_once = jail.service or (self._many and jail.notebook)
        if not (self._may_breed or jail.service) or (self._created == 1 and not at_once):
            return self._driver
        with self._lock:  # a second one would end, and what came of it, as soon as nobody has it
            if self._forkserver is None:
                from e2brun.sandbox.local.isolation.forkserver import Forkserver

                self._forkserver = Forkserver(self._driver)
        return self._forkserver if at_once or self._forkserver.ready(jail) else self._driver

    def _jail(self, spec: SandboxSpec) -> Jail:
        python = self._python(spec.python)
        layer = self._packages.of(spec, python) if spec.install or spec.wants else None
        cells = self._packages.for_cells(python, spec.install_timeout) if spec.cells else None
        return Jail(
            new_id(),
            python,
            spec.limits,
            layer or cells,
            cells if layer else None,
            network=spec.network or Network.NONE,
            node_layer=self._node_layer(spec),
            notebook=spec.cells,
            directories=spec.directories,
            ahead=self._packages.ahead(layer, spec.wants) if layer and spec.cells else (),
        )

    def _python(self, name: str | None) -> Interpreter:
        """One is asked once what it is."""
        if name is None:
            from e2brun.sandbox.local.interpreter import current_interpreter

            return current_interpreter()
        if name not in self._pythons:
            from e2brun.sandbox.local.pythons import find_interpreter

            self._pythons[name] = find_interpreter(name)
        return self._pythons[name]

    def _node_layer(self, spec: SandboxSpec) -> str | None:
        """What TypeScript needs; without it, its cells say so."""
        if spec.language != "typescript":
            return None
        from e2brun.sandbox.local.packages.npm import typescript_layer

        layer = typescript_layer(self._cache_directory, self._environment)
        return None if layer is None else str(layer)
