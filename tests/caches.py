"""Caches of packages: pytest's, and those that tests have to themselves without what takes a second
to make."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.installed import installed_layer
from e2brun.settings import load_settings


def of_pytest(config: pytest.Config) -> pytest.Cache:
    """The one that outlives a run of the tests; who switched it off goes without them."""
    cache: pytest.Cache | None = getattr(config, "cache", None)
    if cache is None:
        pytest.skip("pytest runs without a cache to install packages of npm's into")
    return cache


def with_ipython(cache: Path) -> Path:
    """That directory, with the layer for cells in it: made once, in the user's own cache. Who
    installs nothing may use that cache itself."""
    packages = installed_layer(load_settings().cache_dir, current_interpreter())
    assert packages is not None
    copy = cache / "layers" / packages.parent.name
    shutil.copytree(packages.parent, copy, copy_function=_link)
    assert installed_layer(cache, current_interpreter()) == copy / packages.name
    return cache


def _link(source: str, target: str) -> None:
    """Eight thousand files are linked in a tenth of the time that they are copied in."""
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
