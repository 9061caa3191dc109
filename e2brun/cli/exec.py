"""`e2brun exec` as Typer knows it: its parameters are made from the table of options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, cast

import typer

from e2brun.cli.execution import execute
from e2brun.cli.options import ExecRequest, exec_request
from e2brun.cli.typer_command import command_of

_HELP = """Run FILE in a fresh sandbox and exit with its exit code.

\b
e2brun exec hello.py one two          e2brun exec --timeout 5m --json job.py
e2brun exec -c '1 + 1'                cat job.py | e2brun exec -
e2brun exec --install pandas --file data.csv --get out.png plot.py
"""


def exec_command() -> Callable[..., None]:
    """The command for Typer."""
    file = typer.Argument(metavar="[FILE]", help=".py .sh .js .ipynb, or - for stdin")
    rest = typer.Argument(metavar="[ARGS]...", help="The program's own, options and all.")
    words: dict[str, tuple[object, object]] = {
        "target": (Annotated[str | None, file], None),
        "arguments": (Annotated[list[str] | None, rest], None),
    }
    return command_of(ExecRequest, words, _run, _HELP)


def _run(values: dict[str, object]) -> int:
    words = [values.pop("target"), *cast("list[str]", values.pop("arguments") or [])]
    return execute(exec_request(values, [str(word) for word in words if word is not None]))
