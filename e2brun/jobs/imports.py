"""What to install for the imports of a program, for `--auto-install`: read, never run."""

from __future__ import annotations

import sys
from collections.abc import Container

from e2brun.jobs.parsing import imported

_DEEPEST = 8  # parts of a module's name; no package is known by more


def missing_imports(
    source: str | bytes, *, python_version: tuple[int, ...], present: Container[str] = ()
) -> tuple[str, ...]:
    """Packages for the imports that neither the standard library nor `present` can serve.

    Found in functions and `try` blocks as well, but not under `if TYPE_CHECKING:`. A source
    that cannot be parsed imports nothing.
    """
    found = {
        name: _distribution(name, python_version)
        for name in imported(source)
        if not name.startswith(".")
        and name not in present
        and name.partition(".")[0] not in present
    }
    return tuple(sorted({package for package in found.values() if package}, key=str.lower))


def _distribution(name: str, version: tuple[int, ...]) -> str:
    """The package that has a module; "" for none."""
    from e2brun.jobs.distributions import (
        ADDED_MODULES,
        DISTRIBUTIONS,
        NAMESPACES,
        REMOVED_MODULES,
    )

    parts = name.split(".", _DEEPEST)[:_DEEPEST]
    top = parts[0]
    if top in REMOVED_MODULES:
        since, package = REMOVED_MODULES[top]
        return package if version[:2] >= since else ""
    if top in sys.stdlib_module_names or top in ADDED_MODULES or top == "__main__":
        return ""
    for length in range(len(parts), 0, -1):
        known = DISTRIBUTIONS.get(".".join(parts[:length]))
        if known is not None:
            return known
    if namespace := next((n for n in NAMESPACES if f"{name}.".startswith(f"{n}.")), ""):
        return _in_namespace(parts, namespace)
    # Private modules, and a bare namespace, are in no package of their name.
    return "" if top.startswith("_") or top == "google" or not top.isascii() else top


def _in_namespace(parts: list[str], namespace: str) -> str:
    """`azure.storage.blob.BlobClient` is in azure-storage-blob: up to the first class or name.

    A lower-case function at the end of a `from` import cannot be told from a module.
    """
    from e2brun.jobs.distributions import DOTTED

    root = namespace.split(".")
    inner = [part for part in parts[len(root) :] if part.islower()]
    depth = 2 if root == ["azure"] and inner[:1] in (["storage"], ["mgmt"], ["ai"]) else 1
    if not inner:
        return ""
    separator = "." if parts[0] in DOTTED else "-"
    return separator.join([*root, *inner[:depth]]).replace("_", "-")
