"""A running service, and a sandbox of it, for tests that drive it with E2B's own SDKs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.sdk.serving import Serving, known, served


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """`e2brun serve` on a free port; the E2B_ variables say where, for the SDKs in this process."""
    with served(tmp_path_factory.mktemp("service"), "--disk", "512M") as serving, known(serving):
        yield serving


@pytest.fixture
def sandbox(service: Serving) -> Iterator[Any]:
    """A sandbox of the lean template, through the synchronous SDK."""
    from e2b import Sandbox

    made = Sandbox.create("base", timeout=120)
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture
def interpreter(service: Serving) -> Iterator[Any]:
    """A sandbox of the code interpreter's template, through the synchronous SDK."""
    from e2b_code_interpreter import Sandbox

    made = Sandbox.create(timeout=120)
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture
async def async_sandbox(service: Serving) -> AsyncIterator[Any]:
    """A sandbox of the lean template, through the asynchronous SDK; it may be killed."""
    from e2b import AsyncSandbox

    made = await AsyncSandbox.create("base", timeout=60)
    try:
        yield made
    finally:
        await made.kill()
