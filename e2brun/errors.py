"""Every failure that is ours: meaning, exit code, remedy. What the user's code did is data.

E2brunError              125
├── UsageError             2   the command line, a setting or an input file is wrong
├── StoreUnusable        125   the record of runs cannot be read or written
└── SandboxError         125   the sandbox or its provider failed us
    ├── SandboxUnavailable     no sandbox could be started; the code never ran
    ├── AuthenticationFailed   the key is missing or rejected
    ├── RateLimited            the provider said "not now", and went on saying so
    ├── SandboxLost            the sandbox went away under an operation
    ├── FileTransferFailed     a file could not be written, read or listed
    ├── InstallFailed          packages could not be installed
    └── Unsupported            this backend cannot do what was asked
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager


class E2brunError(Exception):
    """Something we failed at. `str()` is one line; `hint` says what to do about it."""

    exit_code = 125
    hint = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint

    @classmethod
    @contextmanager
    def of_system(cls, what: object = None) -> Generator[None, None, None]:
        """What the system refuses within, and a file that is no text, is raised as this: about
        `what`, or the file that the system names."""
        try:
            yield
        except OSError as error:
            raise cls(f"{what or error.filename}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise cls(f"{what}: not a text file in UTF-8") from error


class UsageError(E2brunError):
    """The command line, a setting or an input file is wrong; nothing was run."""

    exit_code = 2


class StoreUnusable(E2brunError):
    """The record of runs cannot be read or written; a run itself goes on without it."""

    hint = "Name another file with --store or E2BRUN_STORE, or move this one away."


class SandboxError(E2brunError):
    """The sandbox or its provider failed us."""


class SandboxUnavailable(SandboxError):
    """No sandbox could be started or reached; the user's code never ran."""

    hint = "Run `e2brun doctor` to see what is missing."


class AuthenticationFailed(SandboxError):
    """The E2B key is missing or was rejected."""

    hint = "Set E2B_API_KEY to a valid key, or run with --on local."


class RateLimited(SandboxError):
    """The provider refused for now, and went on refusing through every retry."""

    hint = "Wait and run again, lower the concurrency, or run with --on local."


class SandboxLost(SandboxError):
    """The sandbox went away while something was asked of it."""


class FileTransferFailed(SandboxError):
    """A file could not be written to, read from or listed in the sandbox."""


class InstallFailed(SandboxError):
    """Packages could not be installed; the user's code never ran."""


class Unsupported(SandboxError):
    """This backend cannot do what was asked."""
