"""`e2brun exec` and `e2brun batch` as Typer knows them."""

from __future__ import annotations

from typing import Annotated

import typer

from e2brun.cli.batch_options import BatchRequest
from e2brun.cli.options import ExecRequest
from e2brun.cli.typer_command import command_of

_EXEC_HELP = """Run FILE in a fresh sandbox and exit with its exit code.

\b
e2brun exec hello.py one two          e2brun exec --timeout 5m --json job.py
e2brun exec -c '1 + 1'                cat job.py | e2brun exec -
e2brun exec --install pandas --file data.csv --get out.png plot.py
"""


_FILE = typer.Argument(metavar="[FILE]", help=".py .sh .js .ipynb, or - for stdin")
_ARGS = typer.Argument(metavar="[ARGS]...", help="The program's own, options and all.")
EXEC = command_of(
    ExecRequest,
    {
        "target": (Annotated[str | None, _FILE], None),
        "arguments": (Annotated[list[str] | None, _ARGS], None),
    },
    "e2brun.cli.execution:execute",
    _EXEC_HELP,
)

_BATCH_HELP = """Run many programs, each in a fresh sandbox. Exit code: 0 enough passed, 1 some
failed, 2 the input or the command line is wrong, 125 infrastructure.

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


_FILES = typer.Argument(metavar="[FILES]...", help=".py .sh .js .ipynb; each is a case.")
BATCH = command_of(
    BatchRequest,
    {"programs": (Annotated[list[str] | None, _FILES], None)},
    "e2brun.cli.batch:run_batch",
    _BATCH_HELP,
)
