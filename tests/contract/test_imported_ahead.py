"""What a zygote imports for all its sandboxes: only public packages, and no randomness shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2brun.sandbox.contract import Execution, Outcome, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from tests.caches import with_ipython
from tests.contract.wheelhouse import wheel

_RANDOM = """
import os
state = os.urandom(8).hex()
def seed():
    global state
    state = os.urandom(8).hex()
"""
_MATPLOTLIB = """
import os
rcParams = {"backend": os.environ.get("MPLBACKEND", "auto")}
"""
_CODE = """
import sys, threading
ahead = "numpy" in sys.modules
import numpy
print(ahead, numpy.random.state, threading.active_count())
"""


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    files = {"numpy/__init__.py": "import numpy.random\n", "numpy/random.py": _RANDOM}
    wheel(tmp_path, "numpy", files, version="2.3.1")
    files = {"matplotlib/__init__.py": _MATPLOTLIB, "matplotlib/pyplot.py": ""}
    wheel(tmp_path, "matplotlib", files, version="3.10.1")
    return tmp_path


def printed(backend: LocalBackend, spec: SandboxSpec, code: str) -> list[str]:
    sandbox = backend.create(spec)
    said: list[bytes] = []
    execution: Execution = sandbox.run_cell(
        code, timeout=20, stdout=said.append, stderr=said.append
    )
    sandbox.kill()
    assert execution.outcome is Outcome.OK, (execution, said)
    return b"".join(said).decode().split()


@pytest.fixture
def backend(tmp_path: Path, environment: dict[str, str]) -> LocalBackend:
    cache = with_ipython(tmp_path / "cache")
    return LocalBackend(cache_directory=str(cache), environment=environment, many=True)


def test_what_the_code_wants_is_imported_once_and_seeded_for_each(backend: LocalBackend) -> None:
    spec = SandboxSpec(wants=("numpy",))
    try:
        found = [printed(backend, spec, _CODE) for _ in range(3)]
    finally:
        backend.close()
    assert [words[0] for words in found] == ["True"] * 3
    assert len({words[1] for words in found}) == 3
    assert {words[2] for words in found} == {"1"}


def test_what_somebody_named_is_never_imported_for_others(backend: LocalBackend) -> None:
    spec = SandboxSpec(install=("numpy",), wants=("numpy",))
    try:
        found = [printed(backend, spec, _CODE) for _ in range(2)]
    finally:
        backend.close()
    assert [words[0] for words in found] == ["False"] * 2


_BACKEND = """
import sys
print("matplotlib" in sys.modules)
import matplotlib
print(matplotlib.rcParams["backend"])
"""


@pytest.mark.parametrize("named", ["", "svg"])
def test_a_backend_that_the_environment_names_is_taken_though_matplotlib_is_there(
    backend: LocalBackend, named: str
) -> None:
    spec = SandboxSpec(wants=("matplotlib",), env={"MPLBACKEND": named})
    try:
        found = printed(backend, spec, _BACKEND)
    finally:
        backend.close()
    assert found == ["True", named or "module://matplotlib_inline.backend_inline"]
