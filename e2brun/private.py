"""Files that hold keys, tokens or what else is the user's alone, also values in JSON."""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from e2brun.errors import UsageError


def locked(path: Path) -> FileIO:
    """The file, made where there is none, and its lock until it is closed. Raises OSError, of which
    BlockingIOError says that somebody has it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = FileIO(os.open(path, flags, 0o600), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


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


def store(path: Path | None, form: Any, value: Any, but: Any = None) -> None:
    """Write `value` (of the type `form`, `but` for these fields) as JSON, whole or not at all;
    without a path nowhere."""
    if path is None:
        return
    from pydantic import TypeAdapter  # a tenth of a second, for those who keep something

    write_private(path, TypeAdapter(form).dump_json(value, exclude=but))


def load(path: Path | None, form: Any, default: Any) -> Any:
    """What was stored there, `default` where nothing was. Raises UsageError for anything else."""
    if path is None or not path.exists():
        return default
    if not path.is_file():
        raise UsageError(f"{path}: it is no file")
    from pydantic import TypeAdapter, ValidationError

    with UsageError.of_system(path):
        content = path.read_bytes()
    try:
        return TypeAdapter(form).validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise UsageError(f"{path}: it is damaged, or another version's: {first}") from error
