"""One service and one press for each side, for all cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import turns
from tests.parity.sides import Sides, both_sides
from tests.sdk.serving import served


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of those that each run two commands in sandboxes of their own, a third has its day."""
    of_parity = [item for item in items if item.path.parent == Path(__file__).parent]
    cases = [item for item in of_parity if "case" in getattr(item, "fixturenames", ())]
    for number, item in enumerate(cases):
        if not turns.is_due(number, 3):
            item.add_marker(pytest.mark.another_day)


@pytest.fixture(scope="package")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    directory = tmp_path_factory.mktemp("parity")
    with (
        served(directory, "--disk", "512M", "--quiet") as service,
        both_sides(directory, service) as both,
    ):
        yield both
