"""Files that hold keys, tokens or what else is the user's alone."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """Write it whole or not at all, and for nobody else to read (0600). Raises OSError."""
    written = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(written, flags, 0o600), "wb") as file:
            file.write(content)
        written.replace(path)
    except OSError:
        with suppress(OSError):
            written.unlink()
        raise
