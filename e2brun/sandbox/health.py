"""What `e2brun doctor` looks at: each thing that running code needs, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from e2brun.sandbox.check import Check

if TYPE_CHECKING:
    from e2brun.settings import Settings


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, in the order they are told, as each is done. Takes seconds; never raises."""
    from e2brun.sandbox.e2b import endpoint
    from e2brun.sandbox.local import health

    yield from health.examine(settings)
    yield from endpoint.examine(settings)
    yield health.proof(settings)
