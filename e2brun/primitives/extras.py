"""What to say when a package of an optional extra is not installed."""

from __future__ import annotations

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
            f"{purpose} needs a package that is not installed: {error.name or error}",
            hint=f"Install it with: pip install 'e2brun[{extra}]'",
        ) from error
