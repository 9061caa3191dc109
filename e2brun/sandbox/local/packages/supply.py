"""Which packages an embedded sandbox has, and where they are fetched from first.

What is asked for by name (`install`) makes a layer of exactly that. The default template's packages
that the code uses (`wants`) come out of layers that many runs share; where they cannot be had, the
code runs without them, and fails as it does anywhere.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.errors import InstallFailed, SandboxError
from e2brun.sandbox.contract import Room, SandboxSpec
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.installed import installed_layer
from e2brun.sandbox.local.packages.layers import Layers
from e2brun.sandbox.local.packages.store import TEMPLATE

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    from e2brun.sandbox.local.packages.template_layers import TemplateLayers

CELLS = "ipython>=8,<10"  # what cells need, in any Python
# What takes longest to import, and the packages whose users are known to import it.
_AHEAD = (
    ("numpy", {"numpy", "pandas", "matplotlib", "seaborn", "scipy", "scikit-learn"}),
    ("pandas", {"pandas", "seaborn"}),
    ("matplotlib.pyplot", {"matplotlib", "seaborn"}),
    ("e2b_charts", {"e2b-charts"}),
)


class Packages:
    """Those of one backend's sandboxes; `notice` takes lines to show. What could not be had is
    asked for again after so many seconds."""

    def __init__(
        self,
        cache_dir: Path,
        environment: Mapping[str, str] | None,
        notice: Callable[[str], None],
        room: Room,
        again: float = float("inf"),
    ) -> None:
        self._cache_dir, self._environment, self._notice = cache_dir, environment, notice
        self._room, self._again = room, again
        self._own: TemporaryDirectory[str] | None = None  # goes with this process
        self._fetching = allocate_lock()  # one at a time: the next may want the same
        self._failed: dict[tuple[str, ...], float] = {}  # until when

    def of(self, spec: SandboxSpec, python: Interpreter) -> str | None:
        """The layer for a sandbox that has or wants packages, beside what cells need. Raises
        InstallFailed, UsageError."""
        wants, layer = self._wants(spec, python), None
        if spec.install:
            layer = self._with_install(spec, wants, python)
        elif wants:
            layer = self.of_template(wants, python, spec.install_timeout, fetch=spec.fetch)
        return None if layer is None else str(layer)

    @staticmethod
    def ahead(layer: str, wants: Sequence[str]) -> tuple[str, ...]:
        """What to import once for all sandboxes that have this layer: only out of the template's,
        which are public and not of anybody's choice."""
        if Path(layer).parts[-3:-2] != (TEMPLATE,):
            return ()
        return tuple(module for module, users in _AHEAD if not users.isdisjoint(wants))

    def for_cells(self, python: Interpreter, timeout: float) -> str:
        """Where IPython is: apart from what is installed, whose index need not know it."""
        try:
            found = installed_layer(self._cache_dir, python)
        except InstallFailed as error:
            self._notice(f"{error}; it is copied anew each time")
            found = self._copied(python)
        return str(found or self.layer((CELLS,), python, timeout))

    def layer(self, requirements: Sequence[str], python: Interpreter, timeout: float) -> Path:
        """Exactly these. Raises InstallFailed, UsageError."""
        from e2brun.sandbox.requirement import divided

        layers = self.exact(timeout)
        found = layers.cached(requirements, python)
        if found is not None:
            return found
        self._notice(f"installing {', '.join(divided(requirements)[0])}")
        return layers.layer(requirements, python)

    def exact(self, timeout: float) -> Layers:
        """Of what is asked for by name; a layer may take so long to be made."""
        return Layers(self._cache_dir, self._environment, timeout=timeout, room=self._room)

    def _copied(self, python: Interpreter) -> Path | None:
        """A copy for this process alone, of a user who has nowhere to keep one."""
        from tempfile import TemporaryDirectory

        if self._own is None:
            self._own = TemporaryDirectory(prefix="e2brun-")
        return installed_layer(Path(self._own.name), python)

    def _wants(self, spec: SandboxSpec, python: Interpreter) -> tuple[str, ...]:
        """What the code uses, and neither IPython brings nor anybody has named."""
        from e2brun.sandbox.local.packages.template_layers import held
        from e2brun.sandbox.local.templates import beside
        from e2brun.sandbox.requirement import name_of

        there = set(map(name_of, spec.install))
        if spec.cells and (layer := installed_layer(self._cache_dir, python)) is not None:
            there |= held(layer)
        return beside(spec.wants, there)

    def template(self, timeout: float) -> TemplateLayers:
        """Of the default template's packages; likewise."""
        from e2brun.sandbox.local.packages.template_layers import TemplateLayers

        return TemplateLayers(self._cache_dir, self._environment, timeout=timeout, room=self._room)

    def _with_install(self, spec: SandboxSpec, more: tuple[str, ...], python: Interpreter) -> Path:
        """What was asked for comes first: where the template's versions contradict it, others do,
        and where none can be had beside it, it comes alone."""
        from e2brun.sandbox.local.templates import requirements

        timeout = spec.install_timeout
        if not more:
            return self.layer(spec.install, python, timeout)
        ways = [(*spec.install, *texts) for texts in (requirements(more, python.version), more)]
        layers = self.exact(timeout)
        for way in ways:
            if (found := layers.cached(way, python)) is not None:
                return found
        for way in ways if spec.fetch and not self._in_vain(more) else ():
            try:
                return self.layer(way, python, timeout)
            except InstallFailed as error:
                if "cannot be reached" in str(error):
                    break
        self._failed[more] = monotonic() + self._again
        return self.layer(spec.install, python, timeout)

    def of_template(
        self, wants: tuple[str, ...], python: Interpreter, timeout: float, *, fetch: bool
    ) -> Path | None:
        """A layer with these, fetched where it may and must be; else what has most of them."""
        layers = self.template(timeout)
        found = layers.cached(wants, python)
        if found is None and fetch:
            with self._fetching:
                found = layers.cached(wants, python)  # by another thread, meanwhile
                if found is None and not self._in_vain(wants):
                    found = self._fetched(layers, wants, python)
        return found or layers.nearest(wants, python)

    def _in_vain(self, wants: tuple[str, ...]) -> bool:
        return monotonic() < self._failed.get(wants, 0.0)

    def _fetched(
        self, layers: TemplateLayers, wants: tuple[str, ...], python: Interpreter
    ) -> Path | None:
        missing = ", ".join(layers.missing(wants, python))
        self._notice(f"fetching {missing} of the default template, once")
        try:
            return layers.layer(wants, python)
        except SandboxError as error:
            self._failed[wants] = monotonic() + self._again
            self._notice(f"{missing} cannot be had, the code runs without: {error}")
            return None
