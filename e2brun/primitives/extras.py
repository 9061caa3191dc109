"""What to say when a package of an optional extra is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Generator
from contextlib import contextmanager

from e2brun.errors import UsageError


@contextmanager
def needs_extra(extra: str, purpose: str) -> Generator[None]:
    """Import inside. Raises UsageError that names the extra, for a package that is not there."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"{purpose} needs {error.name or error}, which is not installed:"
            f" pip install 'e2brun[{extra}]'"
        ) from error


def insist_on(module: str, extra: str, purpose: str) -> None:
    """As above, of what runs in a process of its own."""
    with needs_extra(extra, purpose):
        if importlib.util.find_spec(module) is None:
            raise ImportError(name=module)
