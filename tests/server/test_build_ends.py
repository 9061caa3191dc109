"""Builds, and what templates start, when whoever waits for them goes away."""

from __future__ import annotations

import asyncio
import gzip
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.registered import Build
from e2brun.server.control import builds
from tests.server.asgi import Client, serving


async def _begin(client: Client, **plan: Any) -> tuple[str, str]:
    """Ask for a build; (template, build)."""
    asked = (await client.ask("POST", "/v3/templates", {"name": "mine"})).json
    path = f"/v2/templates/{asked['templateID']}/builds/{asked['buildID']}"
    answer = await client.ask("POST", path, {"fromImage": "e2bdev/base", **plan})
    assert answer.status == 202
    return asked["templateID"], asked["buildID"]


async def _become(client: Client, template: str, build: str, status: str) -> None:
    for _ in range(1000):
        told = await client.ask("GET", f"/templates/{template}/builds/{build}/status")
        if told.json["status"] == status:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"it did not become {status}: {told.json}")


def _runs(mark: str) -> bool:
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "cmdline").read_text("utf-8", "replace"):
                return True
    return False


async def _until(mark: str, *, there: bool) -> None:
    for _ in range(1000):
        if _runs(mark) is there:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"a program is {'not there' if there else 'still there'}")


def test_a_service_that_ends_does_not_wait_for_a_build() -> None:
    mark = f"mark-{uuid4().hex}"

    async def run() -> str:
        async with serving() as client:
            step = {"type": "RUN", "args": [f"exec -a {mark} sleep 300"]}
            template, build = await _begin(client, steps=[step])
            await _until(mark, there=True)
            found = client.service.registry.builder.templates.templates[template].builds[build]
        return found.status

    assert asyncio.run(run()) == "error"


def test_a_template_that_is_deleted_is_built_no_further() -> None:
    mark = f"mark-{uuid4().hex}"

    async def run() -> None:
        async with serving() as client:
            made = {"type": "WORKDIR", "args": ["/made"]}
            hanging = {"type": "RUN", "args": [f"exec -a {mark} sleep 300"]}
            template, _ = await _begin(client, steps=[made, hanging])
            await _until(mark, there=True)
            assert (await client.ask("DELETE", f"/templates/{template}")).status == 204
            await _until(mark, there=False)

            template, build = await _begin(client, steps=[made])  # done before: it takes no time
            registry = client.service.registry
            found = registry.builder.templates.templates[template].builds[build]
            await client.ask("DELETE", f"/templates/{template}")
            while found.status == "building" or len(registry.builder.at_work):
                await asyncio.sleep(0.02)
            await client.ask("DELETE", f"/templates/{template}")
            assert not list(registry.directory.glob("templates/*.tree"))

    asyncio.run(run())


def test_a_step_ends_with_its_own_process_as_docker_builds_do() -> None:
    async def run() -> list[str]:
        async with serving() as client:
            step = {"type": "RUN", "args": ["sleep 300 & echo said"]}
            template, build = await _begin(client, steps=[step])
            await _become(client, template, build, "ready")
            told = await client.ask("GET", f"/templates/{template}/builds/{build}/status")
        return [entry["message"] for entry in told.json["logEntries"]]

    assert any(line.endswith("[stdout]: said") for line in asyncio.run(run()))


def test_there_is_an_end_to_templates_and_to_builds_that_nobody_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        async with serving() as client:
            asked = [await client.ask("POST", "/v3/templates", {"name": f"t{n}"}) for n in range(3)]
            assert [answer.status for answer in asked] == [202, 202, 429]
            assert "2 templates" in asked[2].json["message"]
            more = [await client.ask("POST", "/v3/templates", {"name": "t0"}) for _ in range(3)]
            assert [answer.status for answer in more] == [202, 202, 429]
            assert "4 builds" in more[2].json["message"]
            await client.ask("DELETE", "/templates/t0")
            assert (await client.ask("POST", "/v3/templates", {"name": "t3"})).status == 202

    monkeypatch.setattr(builds, "_TEMPLATES", 2)
    monkeypatch.setattr(builds, "_BUILDS", 4)
    asyncio.run(run())


def test_an_image_of_an_endless_version_is_refused() -> None:
    async def run() -> None:
        async with serving() as client:
            image = f"python:{'3' * 5000}"
            await _become(client, *await _begin(client, fromImage=image), "error")

    asyncio.run(run())


def test_a_create_that_is_given_up_while_its_template_starts_leaves_no_sandbox() -> None:
    mark = f"mark-{uuid4().hex}"
    # Ready while it is built, and never in a sandbox of the template.
    plan = {"startCmd": f"exec -a {mark} sleep 300", "readyCmd": '[ "$E2B_TEMPLATE_ID" = base ]'}

    async def run() -> None:
        async with serving() as client:
            template, build = await _begin(client, **plan)
            await _become(client, template, build, "ready")
            await _until(mark, there=False)  # the build's own has gone
            body = {"templateID": template, "timeout": 60}
            create = asyncio.ensure_future(client.ask("POST", "/v2/sandboxes", body))
            await _until(mark, there=True)
            create.cancel()
            await asyncio.gather(create, return_exceptions=True)
            await _until(mark, there=False)

    asyncio.run(run())


def test_what_a_step_prints_fills_no_memory_of_the_service() -> None:
    build = Build()
    for _ in range(3000):
        build.say("x" * 4000)
    assert sum(len(line.message) for line in build.log) <= 4 * MIB


def test_an_archive_that_takes_all_memory_of_its_sandbox_fails_its_copy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    header = tarfile.TarInfo("comment")
    header.type, header.size = tarfile.XHDTYPE, 512 * MIB
    archive = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(512 * MIB), 1)
    key = "0" * 64

    async def run() -> str:
        async with serving(memory=128 * MIB) as client:
            files = client.service.registry.builder.files
            written = files.begin()
            written.write_bytes(archive)
            files.keep(key, written)
            step = {"type": "COPY", "args": [".", "/opt/"], "filesHash": key}
            template, build = await _begin(client, steps=[step])
            await _become(client, template, build, "error")
            told = await client.ask("GET", f"/templates/{template}/builds/{build}/status")
        return str(told.json["reason"]["message"])

    assert asyncio.run(run()).startswith("failed to copy '.': the files could not be copied: ")
    assert "Traceback" not in caplog.text
