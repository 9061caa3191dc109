"""The language of a notebook: which of the code interpreter's kernels runs its cells."""

from __future__ import annotations

import re
from collections.abc import Mapping

from e2brun.errors import UsageError

PYTHON = "python"
_KERNELS = {
    "python": ("python", "ipython", "xpython", "py"),
    "bash": ("bash", "sh", "shell", "calysto_bash"),
    "javascript": ("javascript", "js", "node", "nodejs", "ijavascript", "jslab"),
    "typescript": ("typescript", "ts", "tslab", "itypescript", "deno"),
    "r": ("r", "ir", "xr"),
    "java": ("java", "ijava", "rapaio-jupyter-kernel"),
}
_LANGUAGES = {name: language for language, names in _KERNELS.items() for name in names}


def language_of(metadata: Mapping[str, object], where: str) -> str:
    """E2B's name of the language that the metadata name; Python where they name none.

    Kernels have any name (that of a Conda environment, say), languages do not: what a kernel is
    called counts only where nothing else is said. Raises UsageError for an unknown one.
    """
    from e2brun.jobs.notebook_format import table

    kernel, info = (table(metadata.get(key)) for key in ("kernelspec", "language_info"))
    for value in (kernel.get("language"), info.get("name"), kernel.get("name")):
        if isinstance(value, str) and value.strip():
            name = value.strip().lower()
            plain = re.sub(r"[\d.]+$", "", name)
            found = _LANGUAGES.get(name) or _LANGUAGES.get(plain) or _of_environment(name)
            if found is None:
                raise UsageError(
                    f"{where}: no kernel for {value[:40]!r}; known are {', '.join(_KERNELS)}"
                )
            return found
    return PYTHON


def _of_environment(name: str) -> str | None:
    """nb_conda_kernels' names: conda-env-NAME-py."""
    parts = name.split("-")
    return _LANGUAGES.get(parts[-1]) if parts[0] == "conda" and len(parts) > 1 else None
