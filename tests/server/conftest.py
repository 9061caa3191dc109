"""One running service for all tests of its edge; it must not have complained in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from e2brun.server.http.messages import Request
from e2brun.server.serving import Service
from tests.attack.wire import Sandbox, Wire
from tests.sdk.serving import Serving, served
from tests.server.asgi import Client, serving
from tests.server.envd_client import Envd
from tests.server.talking import is_calm, with_talker

_DISK = 32 << 20


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the requests of other tests, which nobody may have let go of, as the application does."""
    monkeypatch.setattr(Request, "kept", Counter[str]())


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with served(tmp_path_factory.mktemp("edge"), "--disk", "256M", "--template", "base") as serving:
        yield serving
    is_calm(serving)


@pytest.fixture(scope="package")
def wire(service: Serving) -> Wire:
    return Wire(service.url, service.key)


@pytest.fixture(scope="package")
def talker(wire: Wire) -> Sandbox:
    """A sandbox with a program that listens."""
    return with_talker(wire)


@pytest.fixture
def another(wire: Wire) -> Sandbox:
    """One that may be killed."""
    return with_talker(wire)


@pytest.fixture(scope="package")
async def shared(anyio_backend: str) -> AsyncIterator[Service]:
    """A service in this process, for all tests that want none of their own: to start one takes half
    a second of a processor."""
    async with serving(disk=_DISK) as client:
        yield client.service


@pytest.fixture
async def client(shared: Service) -> AsyncIterator[Client]:
    """Asks the shared service, in which no sandbox outlives its test."""
    yield Client(shared)
    for record in tuple(shared.registry.records.values()):
        shared.registry.kill(record, "its test has ended")


@pytest.fixture
async def envd(client: Client) -> Envd:
    """The files of a new sandbox."""
    made = await client.create()
    return Envd(client, made["sandboxID"], made["envdAccessToken"])
