"""A running service under attack: nobody's SDK stands between these tests and the socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attack.wire import Sandbox, Wire
from tests.sdk.serving import Serving, served

SECRET = "what-the-caller-of-the-service-knows"  # in its environment


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    directory, secret = tmp_path_factory.mktemp("attacked"), {"CALLERS_SECRET": SECRET}
    with served(directory, "--disk", "256M", environment=secret) as serving:
        yield serving
    text = serving.log.read_text()
    assert "Traceback" not in text, text


@pytest.fixture(scope="package")
def wire(service: Serving) -> Wire:
    return Wire(service.url, service.key)


@pytest.fixture(scope="package")
def victim(wire: Wire) -> Iterator[Sandbox]:
    """A sandbox that the attacks are aimed at; it must still answer after each of them."""
    made = wire.create()
    yield made
    assert wire.is_healthy(made)
    wire.kill(made)


@pytest.fixture
def stranger(wire: Wire) -> Iterator[Sandbox]:
    """A second sandbox, whose tokens must open nothing of the first."""
    made = wire.create()
    yield made
    wire.kill(made)
