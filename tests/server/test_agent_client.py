"""The agent's socket on an event loop: bursts, and what an agent that lies can do."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.host.running import RunningSandbox
from tests.server.inside import living

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing"),
]


async def _nobody_listens(live: RunningSandbox) -> bool:
    try:
        await live.connect(8000)
    except AgentRefused:  # that is the agent's answer
        return True
    return False


async def test_a_burst_of_requests_waits_until_the_agent_has_taken_them() -> None:
    async with living() as live:
        burst = await asyncio.gather(*(_nobody_listens(live) for _ in range(1000)))
    assert burst == [True] * 1000
