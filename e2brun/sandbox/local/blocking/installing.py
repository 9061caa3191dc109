"""Packages for a sandbox that is running already: a layer copied to where Python looks as well.

The layer a sandbox starts with is mounted; a mount cannot be added later without rights that
nothing in here has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.errors import FileTransferFailed, InstallFailed
from e2brun.sandbox.contract import HOME, Upload
from e2brun.sandbox.local.isolation.rootfs import user_site

if TYPE_CHECKING:
    from e2brun.sandbox.local.blocking.sandbox import LocalSandbox


def copy_layer(sandbox: LocalSandbox, layer: Path) -> None:
    """Make a layer's packages importable for what starts, or imports, from now on.

    Raises InstallFailed when they do not fit: they count as files of the sandbox.
    """
    try:
        sandbox.write_files(list(_files(layer, user_site(sandbox.jail))))
    except FileTransferFailed as error:
        raise InstallFailed(f"the packages do not fit into the sandbox: {error}") from error


def _files(layer: Path, site: str) -> Iterator[Upload]:
    for directory, subdirectories, names in os.walk(layer):
        # They would count as files of the sandbox, which can compile for itself here.
        subdirectories[:] = [name for name in subdirectories if name != "__pycache__"]
        for name in names:
            path = Path(directory, name)
            inside = path.relative_to(layer).as_posix()
            script = inside.startswith("bin/")
            target = f"{HOME}/.local/{inside}" if script else f"{site}/{inside}"
            yield Upload(target, path, executable=script)
