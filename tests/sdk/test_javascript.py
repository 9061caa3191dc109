"""The service under E2B's JavaScript SDK: one process of node for each file of tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import clean_environment
from tests.sdk import npm
from tests.sdk.serving import Serving

_NOT_TESTS = {"common"}
FILES = sorted(file.stem for file in npm.SOURCES.glob("*.mjs") if file.stem not in _NOT_TESTS)


@pytest.fixture(scope="module")
def project(request: pytest.FixtureRequest) -> Path:
    cache = request.config.cache
    if cache is None:
        pytest.skip("pytest runs without a cache to install E2B's packages into")
    return npm.project(cache)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_javascript_sdk(name: str, project: Path, service: Serving) -> None:
    ran = subprocess.run(
        ["node", "--test-force-exit", "--test-reporter=spec", f"{name}.mjs"],
        cwd=project,
        env=clean_environment(service.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    print(ran.stdout)
    if ran.returncode:
        pytest.fail(f"{ran.stdout}\n{ran.stderr}", pytrace=False)
