"""One running service for all tests of its edge; it must not have complained in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.attack.wire import Sandbox, Wire
from tests.sdk.serving import Serving, served
from tests.server.asgi import Shared
from tests.server.envd_client import InSandbox, with_sandbox
from tests.server.talking import is_calm, with_talker


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
def shared() -> Iterator[Shared]:
    """A service in this process."""
    with closing(Shared()) as made:
        yield made


@pytest.fixture(scope="package")
def in_sandbox(shared: Shared) -> InSandbox:
    return with_sandbox(shared)
