"""E2B's secrets: named, versioned, listed, and never told again."""

from __future__ import annotations

from uuid import uuid4

import pytest
from e2b import Secret
from e2b.exceptions import SecretException, SecretNotFoundException

from tests.sdk.serving import Serving


def test_a_secret_is_made_changed_found_and_removed(service: Serving) -> None:
    name = f"Key-{uuid4().hex[:8]}"
    made = Secret.create(name, "hunter-2", metadata={"team": "blue"})
    assert (made.name, made.version, made.metadata) == (name.lower(), 1, {"team": "blue"})
    with pytest.raises(SecretException, match="already"):
        Secret.create(name, "other")
    changed = Secret.update(name, "hunter-3")
    assert (changed.secret_id, changed.version) == (made.secret_id, 2)
    assert changed.metadata == {"team": "blue"}
    assert Secret.get_info(made.secret_id).name == name.lower()
    listed = [info.name for info in Secret.list().next_items()]
    assert name.lower() in listed
    assert Secret.destroy(name)
    assert not Secret.destroy(name)
    with pytest.raises(SecretNotFoundException):
        Secret.get_info(name)
    assert "hunter" not in service.log.read_text()


def test_secrets_come_in_pages(service: Serving) -> None:
    names = {f"page-{uuid4().hex[:8]}" for _ in range(5)}
    for name in names:
        Secret.create(name, "x")
    found: list[str] = []
    pages = Secret.list(limit=2)
    while pages.has_next:
        items = pages.next_items()
        assert len(items) <= 2
        found += [info.name for info in items]
    assert names <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("name", "value", "metadata"),
    [
        ("", "x", {}),
        ("sec_x", "x", {}),
        ("a{b}", "x", {}),
        ("no-value", "", {}),
        ("long", "x" * 100_000, {}),
        ("many", "x", {str(number): "x" for number in range(33)}),
        ("wide", "x", {"k": "v" * 1025}),
    ],
)
def test_a_secret_that_e2b_would_refuse_is_refused(
    service: Serving, name: str, value: str, metadata: dict[str, str]
) -> None:
    with pytest.raises(SecretException):
        Secret.create(name, value, metadata=metadata)
