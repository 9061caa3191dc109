from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from time import time

import pytest

from e2brun.sandbox.e2b.backoff import Backoff, refused_from
from e2brun.sandbox.e2b.translate import RequestRefused


class Clock:
    """Remembers how long it was slept for."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.said: list[str] = []
        self.backoff = Backoff(sleep=self.slept.append, notice=self.said.append)


def refusing(*refusals: RequestRefused) -> Callable[[], str]:
    left = list(refusals)

    def operation() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return operation


def test_a_busy_provider_is_asked_again_and_it_is_said_before_each_wait() -> None:
    clock = Clock()
    assert clock.backoff.call(refusing(RequestRefused(429, ""), RequestRefused(503, ""))) == "done"
    assert len(clock.slept) == 2
    assert clock.said[0].startswith("E2B is busy (429); waiting ")
    assert clock.said[0].endswith(" s, try 2 of 4")
    assert clock.said[1].endswith(" s, try 3 of 4")


def test_it_gives_up_after_four_tries() -> None:
    clock = Clock()
    with pytest.raises(RequestRefused):
        clock.backoff.call(refusing(*[RequestRefused(429, "")] * 4))
    assert len(clock.slept) == 3
    assert sum(clock.slept) <= 60


@pytest.mark.parametrize("status", [400, 401, 404, 500, 502, 504])
def test_nothing_else_is_asked_again(status: int) -> None:
    clock = Clock()
    with pytest.raises(RequestRefused):
        clock.backoff.call(refusing(RequestRefused(status, "")))
    assert clock.slept == []


def test_should_retry_false_is_believed() -> None:
    clock = Clock()
    with pytest.raises(RequestRefused):
        clock.backoff.call(refusing(refused_from(503, "", {"should-retry": "false"})))
    assert clock.slept == []


def test_retry_after_is_honoured() -> None:
    clock = Clock()
    clock.backoff.call(refusing(refused_from(429, "", {"retry-after": "7"})))
    assert 7 <= clock.slept[0] < 7.5


def test_a_retry_after_that_is_too_long_is_not_waited_for() -> None:
    clock = Clock()
    with pytest.raises(RequestRefused):
        clock.backoff.call(refusing(refused_from(429, "", {"retry-after": "3600"})))
    assert clock.slept == []
    assert clock.said == ["E2B is busy (429) and asks to wait 3600 s: giving up"]


def test_retry_after_may_be_a_date_or_nonsense() -> None:
    dated = refused_from(429, "", {"retry-after": formatdate(time() + 5, usegmt=True)})
    assert dated.retry_after is not None
    assert 3 <= dated.retry_after <= 5
    assert refused_from(429, "", {"retry-after": "soon"}).retry_after is None
