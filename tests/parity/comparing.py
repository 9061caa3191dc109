"""Whether two backends told the same of one command, whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.parity.sides import Case, Seen, Sides
from tests.parity.unavoidable import UNAVOIDABLE


def compare(sides: Sides, case: Case) -> tuple[Seen, Seen]:
    """Run the case on both sides; everything is equal, and it ended as it had to."""
    local, e2b = sides.run(case, "--json")
    assert local.out.isascii()
    wanted = "infrastructure" if case.ends == "usage" else case.ends
    assert local.document["outcome"] == wanted
    assert (local.code == 2) == (case.ends == "usage") or local.document["exit_code"] == 2
    differing = differences(whole(local), whole(e2b))
    if case.unavoidable:
        may = UNAVOIDABLE[case.unavoidable].keys
        assert differing, "it can be told after all: strike it off the list"
        differing = {key: pair for key, pair in differing.items() if key not in may}
    assert not differing
    return local, e2b


def whole(seen: Seen) -> dict[str, Any]:
    """All that was seen of a command, by key. Two streams are two pipes: what is written to both
    at the same moment has no order."""
    document = seen.document
    if document["stdout"] and document["stderr"]:
        document["logs"] = sorted(document["logs"])
    return {**document, "~code": seen.code, "~stderr": seen.told, "~files": seen.files}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """By key: (ours, theirs), where they are not equal."""
    keys = sorted({*ours, *theirs})
    both = {key: (ours.get(key, "none"), theirs.get(key, "none")) for key in keys}
    return {key: pair for key, pair in both.items() if pair[0] != pair[1]}


def told(err: bytes) -> list[str]:
    """Lines of stderr that are the same wherever a command runs."""
    return [line for line in err.decode().splitlines() if not line.startswith("e2brun: running on")]
