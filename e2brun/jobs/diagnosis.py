"""What went wrong with a program, read from how it ended and the end of its stderr; and whose doing
it is that one could not be run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from e2brun.errors import E2brunError, InstallFailed
from e2brun.sandbox.contract import CodeError, Execution, Outcome

TAIL = 16 * 1024  # bytes of stderr that are kept for this
EXIT_CODE = "ExitCode"  # the name of an error of which no more is known

_NO_SUCH_PACKAGE = r"not found in the package registry|no versions? of|no matching distribution"
_HEADER = "Traceback (most recent call last):"
_LAST_LINE = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$")
_HINTS: tuple[tuple[str, str], ...] = (
    (r"No module named '([\w.]+)'", "Add --install {0}, or --auto-install."),
    (r"No space left on device", "The disk limit was reached: raise it with --disk."),
    (r"MemoryError|Cannot allocate memory", "The memory limit was reached: raise --memory."),
    (r"can't start new thread|Resource temporarily unavailable|fork: retry",
     "The limit on processes and threads was reached: raise it with --processes."),
    (r"Too many open files", "The limit on open files was reached (256)."),
    (r"EOF when reading a line|does not support input requests",
     "There is no more input: a program in a file gets yours with -i."),
    (r"Temporary failure in name resolution|Network is unreachable|Name or service not known"
     r"|EAI_AGAIN|ENETUNREACH",
     "There is no network in the sandbox: allow it with --network."),
    (r"File size limit exceeded", "The disk limit was reached: raise it with --disk."),
)  # fmt: skip
_OUTCOMES = {
    Outcome.TIMEOUT: ("Timeout", "The time limit was reached: raise it with --timeout."),
    Outcome.OOM: ("OutOfMemory", "The memory limit was reached: raise it with --memory."),
    Outcome.KILLED: ("Killed", None),
    Outcome.LOST: ("SandboxLost", "The sandbox went away: run again; nothing is known."),
    Outcome.INFRASTRUCTURE: ("Infrastructure", "Run `e2brun doctor`."),
}


def explained(execution: Execution, stderr_tail: bytes) -> Execution:
    """The execution with `error` (and its hint) filled in, unless it went well or has one."""
    if execution.outcome is Outcome.OK:
        return execution
    if execution.error is not None:
        error = execution.error
        return execution.but(error=error.but(hint=error.hint or hint_for(str(error))))
    if execution.outcome is not Outcome.ERROR:
        name, hint = _OUTCOMES[execution.outcome]
        return execution.but(error=CodeError(name, execution.detail, "", hint))
    text = stderr_tail.decode(errors="replace")
    error = _raised(text) or CodeError(
        EXIT_CODE, execution.detail or f"exit code {execution.exit_code}", ""
    )
    return execution.but(error=error.but(hint=hint_for(text[-2000:])))


def hint_for(text: str) -> str | None:
    """What to do about an error, where the sandbox's own limits are the likely cause."""
    for pattern, advice in _HINTS:
        if found := re.search(pattern, text):
            return advice.format(*(group.split(".")[0] for group in found.groups()))
    return None


def _raised(text: str) -> CodeError | None:
    """The exception a Python traceback at the end of `text` is about."""
    lines = text.rstrip().splitlines()
    start = next((i for i in range(len(lines) - 1, -1, -1) if lines[i] == _HEADER), None)
    if start is None:
        start = _syntax_error_start(lines)
    if start is None:
        return None
    for index in range(start, len(lines)):
        if not lines[index].startswith(" ") and (match := _LAST_LINE.match(lines[index])):
            value = "\n".join([match[2] or "", *lines[index + 1 :]]).rstrip()
            return CodeError(match[1], value, "\n".join(lines[start:]))
    return None


def _syntax_error_start(lines: list[str]) -> int | None:
    """A syntax error in the program itself comes without the header, and where its text cannot
    even be decoded, as one line."""
    if lines and re.match(r"(Syntax|Indentation|Tab)Error: ", lines[-1]):
        found = [index for index, line in enumerate(lines) if line.startswith("  File ")]
        return found[-1] if found else len(lines) - 1
    return None


def wants_what_does_not_exist(error: E2brunError, own: Sequence[str]) -> bool:
    """Whether the source itself names packages (`own`) that there are not."""
    if not (isinstance(error, InstallFailed) and re.search(_NO_SUCH_PACKAGE, str(error), re.I)):
        return False
    from e2brun.sandbox.requirement import name_of, normalized

    told = re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", normalized(str(error)))
    return any(name_of(requirement) in told for requirement in own)
