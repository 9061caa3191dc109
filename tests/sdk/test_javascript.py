"""The service under E2B's JavaScript SDK. All files are tests of one process of node: each would
take half a second of a processor to read the SDK."""

from __future__ import annotations

import subprocess

import pytest

from tests.caches import of_pytest
from tests.conftest import clean_environment
from tests.sdk import npm
from tests.sdk.serving import Serving

_NOT_TESTS = {"common"}
FILES = sorted(file.stem for file in npm.SOURCES.glob("*.mjs") if file.stem not in _NOT_TESTS)


@pytest.mark.slow
def test_javascript_sdk(request: pytest.FixtureRequest, service: Serving) -> None:
    imports = "".join(f"import './{name}.mjs'\n" for name in FILES)
    ran = subprocess.run(
        ["node", "--test-force-exit", "--test-reporter=spec", "--input-type=module", "-e", imports],
        cwd=npm.project(of_pytest(request.config)),
        env=clean_environment(service.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    print(ran.stdout)
    if ran.returncode:
        pytest.fail(f"{ran.stdout}\n{ran.stderr}", pytrace=False)
