"""What a batch may use: seconds of sandboxes, or what they cost, which is an estimate."""

from __future__ import annotations

import math

from e2brun.errors import UsageError
from e2brun.frozen import Frozen
from e2brun.values import parse_duration

# E2B's list price of its default sandbox: 2 vCPU and 512 MiB, in dollars a second.
PRICE = 2 * 0.000014 + 0.5 * 0.0000045
_LONGEST = 10 * 365 * 24 * 3600.0


class Budget(Frozen):
    """At most so many seconds of sandboxes, all together."""

    seconds: float
    dollars: float | None = None

    def __str__(self) -> str:
        if self.dollars is None:
            return f"{self.seconds:g} s of sandboxes"
        return f"${self.dollars:g}, estimated at {self.seconds:.0f} s of sandboxes"


def parse_budget(text: str, *, cloud: bool) -> Budget:
    """`5m` or `$2`. Raises UsageError."""
    if not text.startswith("$"):
        try:
            return Budget(parse_duration(text, maximum=_LONGEST))
        except UsageError as error:
            raise UsageError(f"--budget: {error}; or a price such as $2") from None
    try:
        dollars = float(text[1:])
    except ValueError:
        dollars = math.nan
    if not 0 < dollars < 1e9:
        raise UsageError(f"--budget {text}: write a price such as $2, or a time such as 5m")
    if not cloud:
        raise UsageError(f"--budget {text}: this machine has no price; write a time such as 5m")
    return Budget(dollars / PRICE, dollars)


def estimated_price(seconds: float) -> str:
    """Of sandboxes like E2B's default one."""
    return f"about ${seconds * PRICE:.2f} by E2B's list price, an estimate"
