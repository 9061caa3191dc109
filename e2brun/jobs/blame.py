"""Whose doing it is that a job could not be run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from e2brun.errors import E2brunError, InstallFailed

_NO_SUCH_PACKAGE = r"not found in the package registry|no versions? of|no matching distribution"


def wants_what_does_not_exist(error: E2brunError, own: Sequence[str]) -> bool:
    """Whether the source itself names packages (`own`) that there are not."""
    if not (isinstance(error, InstallFailed) and re.search(_NO_SUCH_PACKAGE, str(error), re.I)):
        return False
    names = (re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in own)
    return any(name and name.lower() in str(error).lower() for name in names)
