"""The public package indexes, as the tools that are installed here name them.

They are what pip and npm ask where no setting says otherwise. Nothing of either is run: their
defaults are read from their files (pip's `_internal/models/index.py`, npm's registry client).
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from site import getsitepackages

_PIP = "pip/_internal/models/index.py"
_PIPS = re.compile(
    r"""^PyPI = PackageIndex\(\s*"(https://[^"]+)",\s*file_storage_domain="([^"]+)""", re.M
)
_NPM = "npm-registry-fetch/lib/default-opts.js"
_NPMS = re.compile(r"""\bregistry: ['"](https://[^'"]+)""")


@cache
def python_index() -> tuple[str, str] | None:
    """The address of the index (PEP 503), and the host of its files; None: no pip is here."""
    # pip is beside e2brun, or came with the interpreter: a venv that uv made has none.
    places = (*sys.path, *getsitepackages([sys.base_prefix]))
    found = _first(_PIPS, (Path(entry, _PIP) for entry in places))
    return None if found is None else (f"{found[1].rstrip('/')}/simple", found[2])


@cache
def npm_registry() -> str | None:
    """The address of the registry; None: no npm is here."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    place = Path(npm).resolve().parents[1]
    # Below npm, or in Debian beside it.
    found = _first(_NPMS, (place / "node_modules" / _NPM, place.parent / _NPM))
    return found and found[1]


def _first(pattern: re.Pattern[str], paths: Iterable[Path]) -> re.Match[str] | None:
    for path in paths:
        try:
            found = pattern.search(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError):
            continue
        if found is not None:
            return found
    return None
