"""One service and one press for each side, for all cases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parity.sides import Sides, both_sides
from tests.sdk.serving import served


@pytest.fixture(scope="package")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    directory = tmp_path_factory.mktemp("parity")
    with (
        served(directory, "--disk", "512M", "--quiet") as service,
        both_sides(directory, service) as both,
    ):
        yield both
