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
    from e2brun.jobs.distributions import ADDED_MODULES, DISTRIBUTIONS, REMOVED_MODULES

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
    return _in_namespace(parts) if _namespace(parts) else _own_name(top)


def _own_name(top: str) -> str:
    """A module whose package has its name. Private and bare namespace modules have none."""
    if top.startswith("_") or top == "google" or not top.isascii():
        return ""
    return top


def _namespace(parts: list[str]) -> str:
    from e2brun.jobs.distributions import NAMESPACES

    return next((n for n in NAMESPACES if f"{'.'.join(parts)}.".startswith(f"{n}.")), "")


def _in_namespace(parts: list[str]) -> str:
    """`azure.storage.blob.BlobClient` is in azure-storage-blob: up to the first class or name.

    A lower-case function at the end of a `from` import cannot be told from a module.
    """
    from e2brun.jobs.distributions import DOTTED

    root = _namespace(parts).split(".")
    inner = [part for part in parts[len(root) :] if part.islower()]
    depth = 2 if root == ["azure"] and inner[:1] in (["storage"], ["mgmt"], ["ai"]) else 1
    if not inner:
        return ""
    separator = "." if parts[0] in DOTTED else "-"
    return separator.join([*root, *inner[:depth]]).replace("_", "-")
