"""How a cell ended, from what its interpreter says of it: the same on every backend."""

from __future__ import annotations

from e2brun.sandbox.contract import CodeError, Execution, Outcome, Result

INTERPRETER_GONE = "ContextRestarting"  # E2B's name for it, told without a traceback


def cell_execution(
    error: CodeError | None, results: tuple[Result, ...], execution_time: float, detail: str = ""
) -> Execution:
    """The end of a cell that ran to it, `error` being what it raised: leaving by SystemExit ends
    it as it would end a program."""
    if error is not None and not error.name:
        error = error.but(name="Error")  # bash has no name for a command that failed
    left = error if error is not None and error.name == "SystemExit" else None
    code = exit_code(left.value) if left is not None else int(error is not None)
    return Execution(
        Outcome.OK if code == 0 else Outcome.ERROR,
        code,
        error=None if code == 0 else error,
        left=left,
        results=results,
        execution_time=execution_time,
        detail=detail,
    )


def interpreter_gone(results: tuple[Result, ...], execution_time: float) -> Execution:
    """The end of a cell whose interpreter ended under it; E2B does not tell of what."""
    detail = "the interpreter died, often for want of memory"
    error = CodeError(INTERPRETER_GONE, detail, "")
    return Execution(
        Outcome.KILLED, error=error, results=results, execution_time=execution_time, detail=detail
    )


def tampered(reason: str) -> CodeError:
    """What is told of a cell whose code wrote to the channel of its results itself."""
    return CodeError("ForgedResults", f"the code tampered with its results: {reason}", "")


def exit_code(value: str) -> int:
    """What `python` would exit with after SystemExit(value), of which only the text is known."""
    value = value.strip()
    if value in {"", "None", "0", "False"}:
        return 0
    digits = value.removeprefix("-")
    if digits.isascii() and digits.isdecimal() and len(digits) < 19:
        return int(value) & 0xFF
    return 1
