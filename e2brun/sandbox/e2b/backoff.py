"""Ask again when the provider says "not now": bounded, with jitter, never behind one's back.

Only refusals that say nothing was done (429, 503) are ever asked again. A cut connection, a
500, 502 or 504 is not: a sandbox may have been created, and would be paid for twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from e2brun.sandbox.e2b.translate import RequestRefused, refusal

T = TypeVar("T")

RETRIED = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and how long to wait; seconds."""

    tries: int = 4
    first: float = 1.0  # doubled at each try, less up to half of it by chance
    longest: float = 30.0  # a Retry-After beyond it is not waited for
    total: float = 60.0
    notice: Callable[[str], None] = lambda line: None
    sleep: Callable[[float], None] = time.sleep

    def call(self, operation: Callable[[], T]) -> T:
        """`operation`'s result, or the exception of the last try."""
        waited = 0.0
        for attempt in range(2, self.tries + 1):
            try:
                return operation()
            except Exception as error:
                refused = refusal(error)
                if refused is None or refused.status not in RETRIED:
                    raise
                if refused.should_retry is False:
                    raise
                wait = self._wait(refused, attempt, waited)
                if wait is None:
                    raise
            self.notice(
                f"E2B is busy ({refused.status}); waiting {wait:.1f} s, "
                f"try {attempt} of {self.tries}"
            )
            self.sleep(wait)
            waited += wait
        return operation()

    def _wait(self, refused: RequestRefused, attempt: int, waited: float) -> float | None:
        """Seconds, or None when it would be too long."""
        if refused.retry_after is not None:
            too_long = refused.retry_after > min(self.longest, self.total - waited)
            if too_long:
                self.notice(
                    f"E2B is busy ({refused.status}) and asks to wait "
                    f"{refused.retry_after:.0f} s: giving up"
                )
                return None
            # A crowd that was told the same number must not come back as one.
            return refused.retry_after + random.uniform(0, 0.25)  # noqa: S311 - not a secret
        backoff = min(self.first * 2 ** (attempt - 2), self.longest)
        jittered = backoff * random.uniform(0.5, 1)  # noqa: S311 - not a secret
        return jittered if waited + jittered <= self.total else None


def refused_from(status: int, message: str, headers: Mapping[str, str]) -> RequestRefused:
    """An error answer of the provider; `headers` is looked up in lower case."""
    should_retry = headers.get("should-retry")
    return RequestRefused(
        status,
        message,
        retry_after=_seconds(headers.get("retry-after")),
        should_retry=None if should_retry is None else should_retry.strip().lower() == "true",
    )


def _seconds(value: str | None) -> float | None:
    """Retry-After is a number of seconds or an HTTP date."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value[:10])
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())
