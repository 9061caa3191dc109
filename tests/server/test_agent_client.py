"""The agent's socket on an event loop: bursts, and what an agent that lies can do."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Jail, new_id

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing")


def test_a_burst_of_requests_waits_until_the_agent_has_taken_them() -> None:
    async def one(live: RunningSandbox) -> bool:
        try:
            await live.connect(8000)
        except AgentRefused:  # nobody listens: that is the agent's answer
            return True
        return False

    async def burst() -> list[bool]:
        live = RunningSandbox(Bubblewrap(), Jail(new_id(), current_interpreter()), "base")
        await live.ready()
        try:
            return await asyncio.gather(*(one(live) for _ in range(1000)))
        finally:
            live.kill()
            await live.buried()

    assert asyncio.run(burst()) == [True] * 1000
