"""Caches of packages that tests have to themselves, without what takes a second to make."""

from __future__ import annotations

from pathlib import Path

from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.installed import installed_layer
from e2brun.settings import load_settings


def with_ipython(cache: Path) -> Path:
    """That directory, with the layer for cells in it: made once, in the user's own cache."""
    layer = installed_layer(load_settings().cache_dir, current_interpreter())
    assert layer is not None
    (cache / "layers").mkdir(parents=True, exist_ok=True)
    (cache / "layers" / layer.name).symlink_to(layer)
    return cache
