"""What checks may ask of a sandbox before it ends, and what it answered.

All of it comes out of the sandbox: it is data of a stranger, kept as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2brun.sandbox.contract import Upload

FILE_LIMIT = 10 * 1024 * 1024  # bytes read of one file that a check looks at


@dataclass(frozen=True, slots=True)
class Collected:
    """A file as it was when the program had ended; `content` is None where there is `problem`."""

    content: bytes | None = None
    problem: str = ""
    missing: bool = False  # it is not there, as against: it could not be read
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """A program of the pipeline's author, run beside the candidate once that has ended."""

    key: str
    argv: tuple[str, ...]
    files: tuple[Upload, ...]
    report: str  # the file it writes
    timeout: float
    install: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Probed:
    """How a probe ended, the ends of what it printed, and its report."""

    outcome: str
    exit_code: int | None
    stdout: str
    stderr: str
    report: Collected = field(default_factory=Collected)
    detail: str = ""
