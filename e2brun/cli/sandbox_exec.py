"""`e2brun sandbox exec`: a command in a sandbox that is there before it and after it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from e2brun.cli.execution import exit_code
from e2brun.cli.sandbox_place import place
from e2brun.cli.signals import Interrupted, notice
from e2brun.errors import E2brunError, SandboxError, UsageError
from e2brun.sandbox.contract import Execution, Outcome, Program

if TYPE_CHECKING:
    from e2brun.cli.console import Console
    from e2brun.cli.sandbox import ExecOrder


def execute(order: ExecOrder) -> int:
    """Run it, its output on ours. Returns its exit code, 125 where it never ran."""
    from e2brun.cli.console import Console

    console = Console(as_json=order.as_json, quiet=True, run_id=os.urandom(8).hex(), raw=order.raw)
    try:
        return _execute(order, console)
    except E2brunError as error:
        code = console.failed(error)
        # 1 is the command's own to return, not the answer to an unknown id.
        return code if isinstance(error, UsageError) else SandboxError.exit_code
    except Interrupted as interrupted:
        console.interrupted(interrupted)
        raise


def _execute(order: ExecOrder, console: Console) -> int:
    from e2brun.cli.options import given
    from e2brun.dotenv import parse_env_assignments
    from e2brun.values import parse_duration

    if not order.command:
        raise UsageError("exec: there is no command", hint="e2brun sandbox exec ID -- ls -l")
    timeout = given("--timeout", parse_duration, order.timeout)
    env = parse_env_assignments(order.env)
    where = place(**order.flags)
    console.configure(where.settings)
    console.backend = where.name
    _, sandbox = where.about(order.sandbox).attach(order.sandbox)
    stdin = 0 if order.stdin or _is_piped(0) else None
    program = Program(order.command, cwd=order.cwd, env=env, stdin=stdin)
    console.created(sandbox, where.name)
    outputs = console.outputs()
    execution = sandbox.run_program(
        program, timeout=timeout, stdout=outputs.stdout, stderr=outputs.stderr
    )
    execution = console.finished(execution, fetched=[])
    if not order.as_json:
        _explain(execution, order.sandbox)
    return exit_code(execution)


def _explain(execution: Execution, sandbox_id: str) -> None:
    """A word on an end that was not the command's own; else it has said all there is to say."""
    if execution.outcome in {Outcome.OK, Outcome.ERROR}:
        return
    why = f": {execution.detail}" if execution.detail else ""
    notice(f"{sandbox_id}: {execution.outcome.value}{why}")


def _is_piped(descriptor: int) -> bool:
    """Whether something is given to read: a pipe, a socket or a file, not a terminal."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISREG(mode)
