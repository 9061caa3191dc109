"""Many clients that change the same sandboxes at once: nobody gets an error of ours, nothing is
left over."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

from tests.server.asgi import Client, serving

_CLIENTS, _STEPS = 8, 12


def test_pauses_resumes_copies_and_kills_at_once() -> None:
    dice = random.Random(3)

    async def step(client: Client, sandboxes: list[str]) -> None:
        sandbox = dice.choice(sandboxes)
        method, path, body = dice.choice(
            [
                ("POST", "/pause", {}),
                ("POST", "/pause", {"memory": False}),
                ("POST", "/connect", {"timeout": 60}),
                ("POST", "/connect", {"timeout": 60, "memory": False}),
                ("POST", "/timeout", {"timeout": 60}),
                ("POST", "/snapshots", {}),
                ("GET", "/metrics", None),
                ("DELETE", "", None),
            ]
        )
        answer = await client.ask(method, f"/sandboxes/{sandbox}{path}", body)
        assert answer.status < 500, (method, path, body, answer.body)
        if method == "DELETE":
            sandboxes.append((await client.create(timeout=60))["sandboxID"])

    async def run() -> Path:
        async with serving() as client:
            sandboxes = [(await client.create(timeout=60))["sandboxID"] for _ in range(3)]

            async def busy() -> None:
                for _ in range(_STEPS):
                    await step(client, sandboxes)

            await asyncio.gather(*(busy() for _ in range(_CLIENTS)))
            registry = client.service.registry
            paused = {record.saved for record in registry.records.values()} - {None}
            kept = {snapshot.tree for snapshot in registry.snapshots.by_id.values()}
            assert {*registry.directory.iterdir()} == paused | kept
            return registry.directory

    before = _open_files()
    assert not asyncio.run(run()).exists()
    assert _open_files() <= before


def test_what_dies_while_it_is_made_or_resumed_is_gone() -> None:
    async def run() -> None:
        async with serving() as client:
            made = (await client.create())["sandboxID"]
            await client.ask("POST", f"/sandboxes/{made}/pause", {"memory": False})
            resuming = asyncio.ensure_future(client.ask("POST", f"/sandboxes/{made}/connect", {}))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (await client.ask("DELETE", f"/sandboxes/{made}")).status == 204
            assert (await resuming).status == 404
            assert client.service.registry.records == {}
            assert list(client.service.registry.directory.iterdir()) == []
            creating = asyncio.ensure_future(
                client.ask("POST", "/v2/sandboxes", {"templateID": "base"})
            )
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await client.service.close()
            # One that was ready was handed out before; it ended with the service all the same.
            assert (await creating).status in (201, 404, 500, 503)
            assert client.service.registry.records == {}

    asyncio.run(run())


def _open_files() -> int:
    """But for the locks of layers, which whoever uses them first keeps until its end."""
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
    return sum(not os.readlink(link).endswith(".used") for link in links if os.path.lexists(link))
