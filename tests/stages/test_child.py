"""Programs of the author's on this machine: what they are given, and may take."""

from __future__ import annotations

import sys

import pytest

from e2brun.stages.child import Bounds, Ended, run_child

pytestmark = pytest.mark.anyio


async def _ran(code: str, bounds: Bounds) -> Ended:
    return await run_child((sys.executable, "-I", "-S", "-c", code), b"", bounds)


async def test_they_are_not_given_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    ended = await _ran("import os; print(*sorted(os.environ))", Bounds(30))
    assert set(ended.stdout.split()) <= {b"PATH", b"LANG", b"LC_CTYPE"}


async def test_they_have_so_much_memory() -> None:
    code = "import resource as r\nwhile r.getrlimit(r.RLIMIT_AS) != (1 << 30, 1 << 30): pass"
    assert (await _ran(code, Bounds(10, memory=1 << 30))).code == 0
