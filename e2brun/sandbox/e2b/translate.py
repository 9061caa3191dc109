"""The SDK's exceptions as ours, from one table; and what E2B and the tools in its sandboxes say of
files, in the words of both backends.

The table is keyed by qualified name, so that it costs no import of the SDK; a subclass that is
not listed is taken as its nearest listed ancestor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from traceback import walk_tb

from e2brun.errors import (
    AuthenticationFailed,
    E2brunError,
    FileTransferFailed,
    RateLimited,
    SandboxError,
    SandboxLost,
    SandboxUnavailable,
    UsageError,
)
from e2brun.sandbox import endings
from e2brun.sandbox.contract import HOME
from e2brun.values import clipped

LONGEST_TEXT = 500
_EDGE = "e2brun.sandbox.e2b.sdk"  # where what the SDK gives is read
_SENSELESS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)

TABLE: dict[str, type[E2brunError]] = {
    # e2b.exceptions
    "e2b.exceptions.SandboxException": SandboxError,
    "e2b.exceptions.TimeoutException": SandboxLost,
    "e2b.exceptions.InvalidArgumentException": SandboxError,
    "e2b.exceptions.NotEnoughSpaceException": FileTransferFailed,
    "e2b.exceptions.NotFoundException": SandboxLost,
    "e2b.exceptions.FileNotFoundException": FileTransferFailed,
    "e2b.exceptions.SandboxNotFoundException": SandboxLost,
    "e2b.exceptions.SandboxNotRunningException": SandboxLost,
    "e2b.exceptions.SandboxUnreachableException": SandboxLost,
    "e2b.exceptions.AuthenticationException": AuthenticationFailed,
    "e2b.exceptions.TemplateException": SandboxUnavailable,
    "e2b.exceptions.RateLimitException": RateLimited,
    "e2b.exceptions.GuestUnresponsiveException": SandboxUnavailable,
    "e2b.exceptions.ServiceBusyException": SandboxUnavailable,
    # e2b.exceptions: of services that are not used here
    "e2b.exceptions.GitAuthException": SandboxError,
    "e2b.exceptions.GitUpstreamException": SandboxError,
    "e2b.exceptions.BuildException": SandboxError,
    "e2b.exceptions.FileUploadException": SandboxError,
    "e2b.exceptions.VolumeException": SandboxError,
    "e2b.exceptions.VolumeNotFoundException": SandboxError,
    "e2b.exceptions.VolumePathNotFoundException": SandboxError,
    "e2b.exceptions.SecretException": SandboxError,
    "e2b.exceptions.SecretNotFoundException": SandboxError,
    # elsewhere in the SDK
    "e2b.sandbox.commands.command_handle.CommandExitException": SandboxError,
    "e2b.api.client.errors.UnexpectedStatus": SandboxUnavailable,
    "e2b.volume.client.errors.UnexpectedStatus": SandboxUnavailable,
    # what the SDK's transports let through
    "connectrpc.errors.ConnectError": SandboxLost,
    "httpx.HTTPError": SandboxLost,
    "httpx.StreamError": SandboxLost,
    "httpx.InvalidURL": UsageError,
    "httpx.UnsupportedProtocol": UsageError,
    "httpcore.ProtocolError": SandboxLost,
    "httpcore.NetworkError": SandboxLost,
    "httpcore.TimeoutException": SandboxLost,
    "httpcore.ProxyError": SandboxLost,
    "httpcore.UnsupportedProtocol": UsageError,
    "pyqwest.ReadError": SandboxLost,
    "pyqwest.WriteError": SandboxLost,
    "pyqwest._errors.RemoteProtocolError": SandboxLost,
    "pyqwest._errors.StreamError": SandboxLost,
    "pyqwest.TooManyRedirects": SandboxLost,
    "builtins.OSError": SandboxLost,
    "builtins.UnicodeEncodeError": SandboxError,  # of what was to be sent
}

# Of the file service, where it has a reason: path and reason.
_REASON = re.compile(r"could not (?:read|write) '(.*)': (.+)")
_OF_FILES: tuple[tuple[str, Callable[[str], str]], ...] = (
    (r"path '(.*)' does not exist", endings.not_there),
    (r"path '(.*)' is a directory", endings.a_directory),
    # tar says so of a directory in the way of a file
    (r"tar: (.*?): Cannot open: (?:File exists|Is a directory)\b", endings.a_directory),
    (r"tar: (.*?): Cannot open: No such file or directory\b", endings.not_there),
)
_E2B_KEY = re.compile(r"e2b_[0-9A-Za-z]{8,}")
_NOT_ONE_LINE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


class RequestRefused(Exception):
    """The provider answered a request with an error status: `status`, what it said, and its
    word on asking again: `retry_after` in seconds, `should_retry` where it was given."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        retry_after: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.retry_after = retry_after
        self.should_retry = should_retry


def known(error: BaseException) -> type[E2brunError] | None:
    """Our class for a foreign exception; None for one that is a bug, not a failure."""
    if isinstance(error, RequestRefused):
        return _by_status(error.status)
    for ancestor in type(error).__mro__:
        found = TABLE.get(f"{ancestor.__module__}.{ancestor.__qualname__}")
        if found is not None:
            return found
    return None


def _of_an_answer(error: BaseException) -> bool:
    """Whether the SDK could not take an answer apart, which it does not look at before."""
    names = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    ours = [name for name in names if name.startswith(("e2b.", "e2b_code_interpreter.", "e2brun."))]
    inside = ours and (ours[-1] == _EDGE or not ours[-1].startswith("e2brun."))
    return bool(inside) and isinstance(error, _SENSELESS)


def _by_status(status: int) -> type[E2brunError]:
    match status:
        case 400 | 404 | 422:
            return UsageError
        case 401 | 403:
            return AuthenticationFailed
        case 429:
            return RateLimited
        case _:
            return SandboxUnavailable


def refusal(error: BaseException) -> RequestRefused | None:
    """The same as `RequestRefused` when the SDK's exception stands for a 429 or a 503."""
    if isinstance(error, RequestRefused):
        return error
    text = str(error)
    status = getattr(error, "status_code", None)
    if status in {429, 503}:
        return RequestRefused(status, text)
    if known(error) is RateLimited:
        return RequestRefused(429, text)
    # The SDK keeps the status of the file service only in the text, at its beginning.
    return RequestRefused(503, text) if text.startswith("503:") else None


def one_line(text: str, *secrets: str) -> str:
    """`text` fit for an error message: one bounded line with no key and no control character."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = _NOT_ONE_LINE.sub(" ", _E2B_KEY.sub("***", text)).strip()
    return clipped(text, LONGEST_TEXT)


def translate(
    error: BaseException, *secrets: str, otherwise: type[SandboxError] = SandboxError
) -> E2brunError | None:
    """Ours for a foreign exception, None for a bug. `otherwise` is used where the table has
    nothing more exact to say than SandboxError."""
    if isinstance(error, E2brunError):
        return error
    ours = known(error)
    if ours is None and _of_an_answer(error):
        message = f"E2B's answer cannot be understood ({type(error).__name__})"
        return SandboxUnavailable(message, hint="Is E2B_API_URL the address of an E2B?")
    if ours is None:
        return None
    said = one_line(str(error), *secrets) or type(error).__name__
    if isinstance(error, UnicodeEncodeError):
        said = "what is no UTF-8 does not get to E2B"
    kind = otherwise if ours is SandboxError else ours
    return kind(reworded(said) if kind is FileTransferFailed else said)


@contextmanager
def translated_errors(
    *secrets: str, otherwise: type[SandboxError] = SandboxError
) -> Generator[None]:
    """Raise the SDK's exceptions as ours, with no secret in their text."""
    try:
        yield
    except Exception as error:
        ours = translate(error, *secrets, otherwise=otherwise)
        if ours is None or ours is error:
            raise
        # The cause is shown by a debugger or a traceback: not when it would show the key too.
        cause = error if not any(one and one in str(error) for one in secrets) else None
        raise ours from cause


def reworded(said: str) -> str:
    """`said` where nothing better is known."""
    if found := _REASON.search(said):
        return f"{found[1]}: {found[2]}"
    for pattern, words in _OF_FILES:
        if found := re.search(pattern, said):
            path = found[1]
            return words(path if path.startswith("/") else f"{HOME}/{path}")
    return said
