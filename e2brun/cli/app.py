"""The command line's tree of commands; each imports its own parts when it is called.

`e2brun help TOPIC`: the Markdown files in `topics/`, which README links to as they are. The first
line of each is its name and, after a colon, what it is about.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from e2brun.cli.batch_options import BatchRequest
from e2brun.cli.options import ExecRequest, Request, number, setting, switch, text, words
from e2brun.cli.pipeline import pipelines
from e2brun.cli.runs import runs
from e2brun.cli.sandbox import sandboxes
from e2brun.cli.serve_command import SERVE
from e2brun.cli.serve_command import SETTINGS as SERVE_SETTINGS
from e2brun.cli.signals import write_line
from e2brun.cli.typer_command import NOTHING, Json, Networked, command_of
from e2brun.errors import E2brunError, UsageError

_TOPICS = Path(__file__).parent / "topics"

_EXEC_HELP = """Run FILE in a fresh sandbox and exit with its exit code.

\b
e2brun exec hello.py one two          e2brun exec --timeout 5m --json job.py
e2brun exec -c '1 + 1'                cat job.py | e2brun exec -
e2brun exec --install pandas --file data.csv --get out.png plot.py
"""
_FILE = typer.Argument(metavar="[FILE]", help=".py .sh .js .ipynb, or - for stdin")
_ARGS = typer.Argument(metavar="[ARGS]...", help="The program's own, options and all.")
_EXEC = command_of(
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
_PROGRAMS = typer.Argument(metavar="[FILES]...", help=".py .sh .js .ipynb; each is a case.")
_BATCH = command_of(
    BatchRequest,
    {"programs": (Annotated[list[str] | None, _PROGRAMS], None)},
    "e2brun.cli.batch:run_batch",
    _BATCH_HELP,
)


app = typer.Typer(
    name="e2brun",
    help="Run code that nobody has reviewed, in a sandbox: E2B's cloud, or this machine.",
    epilog="Examples: e2brun exec hello.py | e2brun exec -c '1 + 1' | e2brun help limits",
    no_args_is_help=True,
    rich_markup_mode=None,  # the help is text; Rich costs 40 ms and draws boxes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command(
    "exec",
    cls=Networked,
    # Everything after FILE is the program's own, as it is with `python FILE`.
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False},
)(_EXEC)
app.command("batch", cls=Networked)(_BATCH)
app.add_typer(pipelines)
app.add_typer(runs)
app.add_typer(sandboxes)
app.command("serve", cls=Networked, context_settings=SERVE_SETTINGS)(SERVE)


def _show_version(value: bool) -> None:
    if value:
        from e2brun import __version__

        typer.echo(f"e2brun {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Only the options that stand before any command."""


@app.command("help")
def help_command(
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="Or a command.")] = None,
) -> None:
    """Explain a topic, such as limits or exit-codes; without one, list them."""
    if topic is None:
        raise typer.Exit(_list_topics())
    commands: Mapping[str, object] = getattr(tree(), "commands", {})
    if topic in commands and topic not in topics():
        tree()([topic, "--help"], standalone_mode=False)
        return
    raise typer.Exit(show_topic(topic, commands))


@app.command()
def doctor(
    as_json: Json = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Install what apt can install, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Say what works here, what does not, and what to do about it."""
    from e2brun.cli.doctor import examine

    raise typer.Exit(examine(as_json=as_json, fix=fix, yes=yes))


class BenchRequest(Request):
    """What `bench` was asked."""

    files: tuple[str, ...] = ()
    on: str | None = setting("--on", "e2b, local or auto.", "WHERE")
    timeout: str | None = setting("--timeout", "For each run.", "TIME")
    repeats: int = number("--repeats", "Rounds that count.", default=10, least=1)
    warm_up: int = number("--warm-up", "Rounds before them.", default=1, least=0)
    baseline: str | None = text("--baseline", "Default: the first.", "NAME")
    as_json: bool = switch("--json", "One JSON document on stdout.")
    reports: tuple[str, ...] = words("--report", "As for pipelines. Repeatable.", "[KIND:]FILE")
    store: str | None = setting("--store", "Record the run in it.", "FILE")
    no_store: bool = switch("--no-store", "Record nothing.")


_FILES = Annotated[list[str], typer.Argument(metavar="FILE...", help="A.py B.py, or one TOML.")]
_BENCH_HELP = "Time programs against each other, each run in a sandbox of its own."
app.command("bench")(
    command_of(BenchRequest, {"files": (_FILES, NOTHING)}, "e2brun.cli.bench:bench", _BENCH_HELP)
)


@cache
def tree() -> Callable[..., object]:
    """The commands as click has them: made once, which takes 20 ms."""
    return typer.main.get_command(app)


def run() -> int:
    """Parse the command line and run what it says. Returns the exit code."""
    try:
        code: object = tree()(standalone_mode=False)
    except E2brunError as error:
        from e2brun.report.sandboxes import failure

        _tell(failure(error))
        raise
    except Exception as error:
        # Typer 0.27 and later bring a click of their own, earlier ones use click's: the same
        # exception has two classes, and one look.
        explain = getattr(error, "format_message", None)
        if explain is None:
            return _unwritable(error)
        message = str(explain())
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(message, err=True)
            return UsageError.exit_code
        raise _usage_error(message) from error
    return code if isinstance(code, int) else 0


def _unwritable(error: Exception) -> int:
    """The exit code where printing help or a version failed; anything else is raised again."""
    if isinstance(error, BrokenPipeError):
        return 128 + signal.SIGPIPE
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EIO, errno.EBADF}:
        raise E2brunError(f"cannot write to standard output: {error.strerror}") from error
    raise error


def _usage_error(message: str) -> UsageError:
    from e2brun.report.execution_json import failure_document

    wrong = UsageError(message, hint=f"See `{_asked()} --help`.")
    _tell(failure_document(wrong, sandbox_id=None, backend=None, template=None, run_id=None))
    return wrong


def _asked() -> str:
    """The command that the words name; click does not say it of every mistake."""
    import sys

    command: object = tree()
    names = ["e2brun"]
    for word in sys.argv[1:]:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        names.append(word)
    return " ".join(names)


def _tell(failure: object) -> None:
    """With `--json`, which is not said to a command behind `--`, a failure is a document, too."""
    import sys

    from e2brun.cli.signals import print_document

    own = sys.argv[1 : sys.argv.index("--") if "--" in sys.argv else None]
    if "--json" in own:
        with suppress(E2brunError):  # where it cannot be written, the exit code says it
            print_document(failure)


def topics() -> dict[str, Path]:
    return {path.stem: path for path in sorted(_TOPICS.glob("*.md"))}


def _list_topics() -> int:
    found = topics()
    width = max(map(len, found))
    lines = [f"  {name:<{width}}  {_about(path)}" for name, path in found.items()]
    options = "`e2brun help COMMAND`, or `e2brun COMMAND --help`, lists a command's options."
    write_line("\n".join(["e2brun help TOPIC explains one of", "", *lines, "", options]))
    return 0


def show_topic(name: str, commands: Iterable[str]) -> int:
    """Print one. Raises UsageError: there is none of that name, nor a command."""
    found = topics()
    if name not in found:
        from e2brun.values import suggestion

        raise UsageError(
            f"there is no topic {name!r}{suggestion(name, {*found, *commands})}",
            hint="See `e2brun help`.",
        )
    write_line(found[name].read_text(encoding="utf-8").rstrip())
    return 0


def _about(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().partition(": ")[2].strip()
