"""Without --json: what a person sees, and what a pipe gets."""

from __future__ import annotations

import re

import pytest

from tests.parity.cells import CELLS
from tests.parity.program_files import FILES
from tests.parity.programs import PROGRAMS
from tests.parity.sides import Case, Seen, Sides

# E2B tells what a cell writes as text: bytes that are none are seen in the embedded sandbox alone.
_ALL = [case for case in [*PROGRAMS, *FILES, *CELLS] if not case.unavoidable]
_CASES = [case for case in _ALL if case.name != "raw writes"][::60]
_OWN = re.compile(r" · i\w{19} · (local|e2b) · [\d.]+ s|\bi\w{19}\b")


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_a_command_prints_the_same_on_both_backends(sides: Sides, case: Case) -> None:
    local, e2b = sides.run(case)
    assert (local.code, local.out, local.files) == (e2b.code, e2b.out, e2b.files)
    assert _lines(local) == _lines(e2b)


def _lines(seen: Seen) -> list[str]:
    """What it said on stderr, without ids, times and the backend's name."""
    return [_OWN.sub("", line) for line in seen.err.decode(errors="replace").splitlines()]
