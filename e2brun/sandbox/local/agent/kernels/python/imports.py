"""Act on a module once the user's code imports it; import nothing on our own account."""

from __future__ import annotations

import builtins
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Action = Callable[[Any], None]

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own


def when_imported(actions: dict[str, Action]) -> None:
    """Call each action with its module, at once where that is loaded already."""
    for name in [name for name in actions if name in sys.modules]:
        _act(actions.pop(name), sys.modules[name])
    sys.meta_path.insert(0, _Watcher(actions))


def _act(action: Action, module: ModuleType) -> None:
    try:
        action(module)
    except Exception:  # another version of it than we know: it works without us
        return


class _Watcher:
    """A finder that finds nothing itself: it has the module's own loader call us when done."""

    def __init__(self, actions: dict[str, Action]) -> None:
        self._actions = actions

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._actions:
            return None
        for finder in [finder for finder in sys.meta_path if finder is not self]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self._attach(spec, name)
                return spec
        return None

    def _attach(self, spec: ModuleSpec, name: str) -> None:
        loader: Any = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # the loader is as it was, also for a reload
            execute(module)
            action = self._actions.pop(name, None)
            if action is not None:
                _act(action, module)

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader that is a class or has slots: leave it alone
            return
