"""`e2brun batch` as Typer knows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from e2brun.cli.batch_options import BatchRequest
from e2brun.cli.typer_command import command_of

_HELP = """Run many programs, each in a fresh sandbox. Exit code: 0 enough passed, 1 some failed,
2 the input or the command line is wrong, 125 infrastructure.

\b
e2brun batch candidates/*.py --report junit.xml
e2brun batch --jsonl cases.jsonl --stdin-field input --expect-field output
e2brun batch --format humaneval --jsonl HumanEval.jsonl.gz --samples samples.jsonl -o out.jsonl
e2brun batch --jsonl cases.jsonl -o out.jsonl --resume @last

A program passes when it ends with exit code 0, prints what --expect-field says (white space at
the end of lines does not count), and with --completed has come to its last line. The last is told
by the process that started it: exit(), os._exit(0) or an atexit hook before the tests are no
pass. It finds programs that leave early, not programs that set out to forge it: those run in the
interpreter that their tests run in, and can change what that does.
"""


def batch_command() -> Callable[..., None]:
    """The command for Typer."""
    files = typer.Argument(metavar="[FILES]...", help=".py .sh .js .ipynb; each is a case.")
    words: dict[str, tuple[object, object]] = {
        "programs": (Annotated[list[str] | None, files], None)
    }
    return command_of(BatchRequest, words, _run, _HELP)


def _run(values: dict[str, object]) -> int:
    from e2brun.cli.batch import run_batch

    return run_batch(BatchRequest.of(values))
