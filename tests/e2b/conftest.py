from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from e2brun.sandbox.contract import Execution, Program, SandboxSpec
from e2brun.sandbox.e2b import Credentials, E2BBackend, E2BSandbox
from tests.e2b.loopback import KEY, Loopback

PYTHON = sys.executable


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def backend(server: Loopback, notices: list[str]) -> Iterator[E2BBackend]:
    made = E2BBackend(Credentials(KEY, server.url, server.url), notice=notices.append)
    yield made
    made.close()


@pytest.fixture
def sandbox(backend: E2BBackend) -> E2BSandbox:
    return backend.create(SandboxSpec())


class Ran:
    """An execution with what it wrote."""

    def __init__(self, sandbox: E2BSandbox, program: Program, timeout: float | None) -> None:
        out, err = bytearray(), bytearray()
        self.execution: Execution = sandbox.run_program(
            program, timeout=timeout, stdout=out.extend, stderr=err.extend
        )
        self.out = bytes(out)
        self.err = bytes(err)


Run = Callable[..., Ran]


@pytest.fixture
def run(sandbox: E2BSandbox) -> Run:
    def runs(*argv: str, timeout: float | None = 20, **more: object) -> Ran:
        return Ran(sandbox, Program(argv, **more), timeout)  # type: ignore[arg-type]

    return runs
