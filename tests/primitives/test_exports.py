from __future__ import annotations

import subprocess
import sys

import pytest

import e2brun


def test_every_promised_name_can_be_imported() -> None:
    for name in e2brun.__all__:
        assert getattr(e2brun, name) is not None
    assert set(e2brun.__all__) <= set(dir(e2brun))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Primitve'"):
        _ = e2brun.Primitve  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = "import sys, e2brun; print([m for m in sys.modules if m.startswith('e2brun.')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout.strip() == b"[]"


def test_the_engine_imports_no_third_party_module() -> None:
    code = (
        "import sys, site; from e2brun import *; "
        "print(sorted({m.split('.')[0] for m, n in sys.modules.items() if 'site-packages' in "
        "(getattr(n, '__file__', None) or '')}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert [name for name in eval(result.stdout) if not name.startswith(("_", "e2brun"))] == []


def test_no_step_knows_a_backend_by_name() -> None:
    from pathlib import Path

    folder = Path(e2brun.__file__).parent / "primitives"
    for path in folder.glob("*.py"):
        text = path.read_text()
        for name in ('"local"', '"e2b"', "sandbox.local", "sandbox.e2b"):
            assert name not in text, path
