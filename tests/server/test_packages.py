"""`serve --network packages`: sandboxes reach the package index, and those do not that may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes import templates
from e2brun.server.sandboxes.templates import TemplateStore
from e2brun.values import Network
from tests.contract.wheelhouse import wheel
from tests.indexes import Answer, index_served
from tests.server.asgi import Client, serving

pytestmark = pytest.mark.anyio
_GET = "GET /simple/tiny/ HTTP/1.1\r\nHost: 127.0.0.1:49984\r\n\r\n"


@pytest.fixture(scope="module")
async def client(anyio_backend: str) -> AsyncIterator[Client]:
    """One of a service that has an index."""
    with index_served() as index:
        index.html("/simple/tiny/", "tiny-1.0-py3-none-any.whl")
        index.pages["/simple/tiny/tiny-1.0-py3-none-any.whl"] = Answer(b"wheel")
        environment = {"UV_DEFAULT_INDEX": f"{index.url}/simple", "UV_NO_CONFIG": "1"}
        async with serving(network=Network.PACKAGES, environment=environment) as one:
            yield one


async def _answered(live: RunningSandbox) -> bytes:
    """What is told at the index's port inside."""
    connection = await live.connect(49984)
    try:
        await connection.send(_GET.encode())
        told = b""
        while data := await connection.receive(65536):
            told += data
        return told
    finally:
        connection.close()


def _live(client: Client, sandbox_id: str) -> RunningSandbox:
    record = client.service.registry.records.get(sandbox_id)
    assert record is not None
    assert record.running is not None
    return record.running


@pytest.mark.parametrize("network", Network)
def test_base_has_pip_for_an_index_where_the_environment_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Network
) -> None:
    """A venv that uv made has none."""
    bare, wheels = tmp_path / "bare", tmp_path / "wheels"
    bare.mkdir()
    wheels.mkdir()

    def installed_layer(*_: object) -> Path:
        return bare

    monkeypatch.setattr(templates, "installed_layer", installed_layer)
    options = ServiceOptions(
        "",
        network=network,
        cache_directory=tmp_path / "cache",
        environment={"UV_FIND_LINKS": str(wheels), "UV_NO_INDEX": "1", "UV_NO_CONFIG": "1"},
    )
    store = TemplateStore(options)
    assert store.built((), current_interpreter()) == bare  # it cannot be had
    for name in ("ipython", "pip"):
        wheel(wheels, name, {f"{name}.py": ""})
    found = store.built((), current_interpreter())
    assert found is not None
    assert (found / "pip.py").exists() is (network is not Network.NONE)
    (bare / "pip-1.0.dist-info").mkdir()
    assert store.built((), current_interpreter()) == bare


async def test_a_sandbox_is_answered_unless_it_is_to_have_no_internet(client: Client) -> None:
    for _ in range(2):  # the second was made ahead
        made = await client.create()
        live = _live(client, made["sandboxID"])
        assert live.environment["PIP_INDEX_URL"] == "http://127.0.0.1:49984/simple/"
        for name in ("npm_config_registry", "pnpm_config_registry", "YARN_NPM_REGISTRY_SERVER"):
            assert live.environment[name] == "http://127.0.0.1:49984/npm/"
        assert b"/files/tiny/tiny-1.0-py3-none-any.whl" in await _answered(live)
    for refusal in ({"allow_internet_access": False}, {"network": {"denyOut": ["0.0.0.0/0"]}}):
        alone = _live(client, (await client.create(**refusal))["sandboxID"])
        assert "PIP_INDEX_URL" not in alone.environment
        with pytest.raises(AgentRefused):
            await _answered(alone)


async def test_a_sandbox_that_was_paused_is_answered_again(client: Client) -> None:
    made = await client.create()
    place = f"/sandboxes/{made['sandboxID']}"
    assert (await client.ask("POST", f"{place}/pause")).status == 204
    resumed = await client.ask("POST", f"{place}/connect", {"timeout": 60})
    assert resumed.status in {200, 201}
    assert b"/files/tiny/" in await _answered(_live(client, made["sandboxID"]))


async def test_a_sandbox_that_runs_can_lose_the_indexes_and_have_them_again(client: Client) -> None:
    made = await client.create()
    place = f"/sandboxes/{made['sandboxID']}"
    live = _live(client, made["sandboxID"])
    for refusal in ({"allow_internet_access": False}, {"denyOut": ["0.0.0.0/0"]}):
        waiting = await live.connect(49984)
        assert (await client.ask("PUT", f"{place}/network", refusal)).status == 204
        with suppress(OSError):  # who had connected before is not answered either
            await waiting.send(_GET.encode())
            assert not await waiting.receive(65536)
        waiting.close()
        with pytest.raises(AgentRefused):
            await _answered(live)
        assert (await client.ask("PUT", f"{place}/network", {})).status == 204
        assert b"/files/tiny/" in await _answered(live)


async def test_what_was_taken_from_a_sandbox_is_not_back_after_a_pause(client: Client) -> None:
    made = await client.create()
    place = f"/sandboxes/{made['sandboxID']}"
    taken = await client.ask("PUT", f"{place}/network", {"allow_internet_access": False})
    assert taken.status == 204
    assert (await client.ask("POST", f"{place}/pause", {"memory": False})).status == 204
    resumed = await client.ask("POST", f"{place}/connect", {"timeout": 60})
    assert resumed.status in {200, 201}
    with pytest.raises(AgentRefused):
        await _answered(_live(client, made["sandboxID"]))
