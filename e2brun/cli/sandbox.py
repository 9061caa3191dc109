"""`e2brun sandbox`: what each command asks the provider, and how it is told. Those that move files
or run something have files of their own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from e2brun.cli.options import NETWORK, Request, given, setting, switch, text, words
from e2brun.cli.sandbox_place import Place, place
from e2brun.cli.signals import complain, notice, print_success, write_line
from e2brun.cli.typer_command import NOTHING, Json, Networked, command_of
from e2brun.errors import SandboxError, UsageError
from e2brun.values import Network, parse_duration

if TYPE_CHECKING:
    from e2brun.sandbox.e2b.remote import LogLine, Remote

sandboxes = typer.Typer(
    name="sandbox",
    help="Sandboxes that live on, in E2B's cloud or on this machine: create, look, use, end.",
    epilog="IDs are printed by `create` and `list`. Exit codes: 0; 1 no such sandbox; 2 usage; "
    "125 the provider failed. `exec` and `shell` end as the command did, or with 125.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Id = Annotated[str, typer.Argument(metavar="ID", help="Of the sandbox.")]
On = Annotated[str | None, typer.Option(metavar="WHERE", help="e2b, local or auto.")]
Words = list[str] | None
Metadata = Annotated[Words, typer.Option(metavar="K=V", help="Only with it. Repeatable.")]

_LOOK_AGAIN_SECONDS = 1.0


class NewSandbox(Request):
    """What `create` was asked for."""

    timeout: str | None = setting("--timeout", "How long it lives. Default 5m.", "TIME")
    template: str | None = setting("--template", "Template, own ones too.", "NAME")
    metadata: tuple[str, ...] = words("--metadata", "Repeatable.", "K=V")
    env: tuple[str, ...] = words("--env", "Variable. Repeatable.", "K=V")
    network: str | None = NETWORK
    on: str | None = setting("--on", "e2b, local or auto.", "WHERE")
    as_json: bool = switch("--json", "One JSON document on stdout.")


def create(asked: NewSandbox) -> int:
    from e2brun.dotenv import parse_env_assignments
    from e2brun.sandbox.contract import SandboxSpec

    where = place(**asked.flags)
    spec = SandboxSpec(
        template=where.settings.template,
        lifetime=_lifetime(asked.timeout),
        metadata=_pairs(asked.metadata),
        env=parse_env_assignments(asked.env),
        network=_network(where),
    )
    sandbox_id = where.creating(lambda remote: remote.create(spec))
    if asked.as_json:
        print_success(backend=where.name, sandbox_id=sandbox_id)
    else:
        write_line(sandbox_id)
    return 0


sandboxes.command("create", cls=Networked)(
    command_of(NewSandbox, {}, f"{__name__}:create", "Start a sandbox and print its id.")
)


def _network(where: Place) -> Network | None:
    """What to ask for; the service on this machine gives of that what it was started with."""
    wanted = where.settings.network
    return Network.INTERNET if where.local and wanted is Network.PACKAGES else wanted


def _lifetime(text: str | None) -> float:
    return given("--timeout", parse_duration, text) or 300.0


def _pairs(words: Iterable[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f"--metadata: write KEY=VALUE, not {word!a}")
        found[key] = value
    return found


@sandboxes.command("list")
def list_all(
    state: Annotated[
        Words, typer.Option(metavar="STATE", help="running or paused. Repeatable.")
    ] = None,
    metadata: Metadata = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the ids.")] = False,
    on: On = None,
    as_json: Json = False,
) -> int:
    """List the sandboxes there are, newest first."""
    from e2brun.sandbox.e2b.remote import STATES

    for one in state or ():
        if one not in STATES:
            raise UsageError(f"--state {one!a}: write {' or '.join(STATES)}")
    wanted = _pairs(metadata)
    where = place(on)
    found = where.sandboxes(state or (), wanted)
    from e2brun.report import sandboxes as report

    if as_json:
        print_success(backend=where.name, sandboxes=[report.facts_value(facts) for facts in found])
    elif quiet:
        for facts in found:
            write_line(facts.id)
    elif found:
        report.print_sandboxes(found, color=where.settings.colors(1))
    else:
        notice(f"no sandboxes ({where.name})")
    return 0


@sandboxes.command()
def info(sandbox: Id, on: On = None, as_json: Json = False) -> int:
    """Say what is known of a sandbox."""
    where = place(on)
    facts = where.about(sandbox).info(sandbox)
    from e2brun.report import sandboxes as report

    if as_json:
        print_success(backend=where.name, **report.facts_value(facts))
    else:
        report.print_facts(facts, color=where.settings.colors(1))
    return 0


class ExecOrder(Request):
    """What is to run in a sandbox, and how."""

    sandbox: str = ""
    command: tuple[str, ...] = ()
    stdin: bool = switch("-i/--stdin", "Pass stdin on, a terminal's too.")
    timeout: str | None = text("--timeout", "Then it is ended, with 124.", "TIME")
    cwd: str | None = text("--cwd", "Default: home.", "DIR")
    env: tuple[str, ...] = words("--env", "Variable. Repeatable.", "K=V")
    max_output: str | None = setting("--max-output", "Default 10M.", "SIZE")
    on: str | None = setting("--on", "e2b, local or auto.", "WHERE")
    as_json: bool = switch("--json", "One JSON document on stdout.")
    raw: bool = switch("--raw", "The command's bytes in a CI job's log, too.")


_EXEC_HELP = """Run a command in a sandbox and exit with its exit code.

What stands after `--` is the command's; what is piped in is its stdin.
"""


_COMMAND = typer.Argument(metavar="-- CMD...", help="What to run.")
sandboxes.command("exec")(
    command_of(
        ExecOrder,
        {"sandbox": (Id, NOTHING), "command": (Annotated[list[str], _COMMAND], NOTHING)},
        "e2brun.cli.sandbox_exec:execute",
        _EXEC_HELP,
    )
)


@sandboxes.command()
def shell(sandbox: Id, on: On = None) -> None:
    """Open a shell in a sandbox, on this terminal."""
    from e2brun.cli.sandbox_shell import shell as run

    raise typer.Exit(run(on, sandbox))


@sandboxes.command()
def ls(
    sandbox: Id,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="Default: home.")] = "",
    on: On = None,
    as_json: Json = False,
) -> None:
    """List a directory in a sandbox."""
    from e2brun.cli.sandbox_files import ls as run

    raise typer.Exit(run(on, sandbox, path, as_json=as_json))


@sandboxes.command()
def cp(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A path here, or ID:PATH.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="The other one.")],
    max_get: Annotated[str, typer.Option(metavar="SIZE", help="Of all that comes out.")] = "16G",
    on: On = None,
) -> None:
    """Copy a file or a directory into a sandbox or out of it."""
    from e2brun.cli.sandbox_files import cp as run

    raise typer.Exit(run(on, source, target, max_get))


@sandboxes.command()
def logs(
    sandbox: Id,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Until it ends.")] = False,
    on: On = None,
) -> int:
    """Show a sandbox's log."""
    from e2brun.report.sandboxes import print_log
    from e2brun.sandbox.e2b.remote import NoSuchSandbox

    where = place(on)
    remote = where.about(sandbox)
    color = where.settings.colors(1)
    pages = _Pages(remote, sandbox)
    print_log(pages.new(), color=color)
    while follow:
        time.sleep(_LOOK_AGAIN_SECONDS)
        try:
            fresh = pages.new()
            if not fresh:
                remote.info(sandbox)  # the log of one that has ended may still be there
        except NoSuchSandbox:
            notice(f"{sandbox} has ended")
            break
        print_log(fresh, color=color)
    return 0


class _Pages:
    """A log read page by page; each entry is given once."""

    def __init__(self, remote: Remote, sandbox_id: str) -> None:
        self._remote, self._id = remote, sandbox_id
        self._since = 0  # Unix milliseconds
        self._seen: set[LogLine] = set()  # those of that millisecond

    def new(self) -> list[LogLine]:
        """What has come since the last call."""
        fresh: list[LogLine] = []
        while True:
            page = self._remote.logs(self._id, self._since)
            unseen = [line for line in page if line not in self._seen]
            if not unseen:
                return fresh
            fresh += unseen
            latest = max(map(_milliseconds, unseen))
            if latest > self._since:
                self._since, self._seen = latest, set()
            # Of one millisecond there may be more to come, so it is asked for again.
            self._seen |= {line for line in unseen if _milliseconds(line) == latest}


def _milliseconds(line: LogLine) -> int:
    return int(line.time.timestamp() * 1000)


@sandboxes.command()
def metrics(sandbox: Id, on: On = None, as_json: Json = False) -> int:
    """Show what a sandbox has used."""
    where = place(on)
    found = where.about(sandbox).metrics(sandbox)
    from e2brun.report import sandboxes as report

    if as_json:
        values = [report.measured_value(one) for one in found]
        print_success(backend=where.name, sandbox_id=sandbox, metrics=values)
    elif found:
        report.print_metrics(found, color=where.settings.colors(1))
    else:
        notice(f"{sandbox} has not been measured yet")
    return 0


@sandboxes.command()
def pause(sandbox: Id, on: On = None) -> int:
    """Stop a sandbox, keeping its memory and files."""
    if not place(on).about(sandbox).pause(sandbox):
        notice(f"{sandbox} was paused already")
    return 0


@sandboxes.command()
def resume(
    sandbox: Id,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it lives on. Default 5m.")
    ] = None,
    on: On = None,
) -> int:
    """Let a paused sandbox go on."""
    place(on).about(sandbox).resume(sandbox, _lifetime(timeout))
    return 0


@sandboxes.command()
def kill(
    sandbox: Annotated[Words, typer.Argument(metavar="[ID]...")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every sandbox there is.")] = False,
    metadata: Annotated[
        Words, typer.Option(metavar="K=V", help="Those with it. Repeatable.")
    ] = None,
    on: On = None,
) -> int:
    """End sandboxes and print the ids of those that were ended."""
    if bool(sandbox) + every + bool(metadata) != 1:
        raise UsageError("kill takes ids, --all, or --metadata KEY=VALUE: one of the three")
    if sandbox:
        return _kill(place(on), sandbox, missing_is_error=True)
    wanted = _pairs(metadata)
    where = place(on)
    found = where.sandboxes(metadata=wanted)
    if not found:
        notice(f"no sandboxes to end ({where.name})")
    return _kill(where, [facts.id for facts in found], missing_is_error=False)


def _kill(where: Place, ids: Iterable[str], *, missing_is_error: bool) -> int:
    """End each; one that cannot be ended does not keep the others alive."""
    from e2brun.sandbox.e2b.remote import NoSuchSandbox, check_id

    codes = {0}
    for sandbox_id in ids:
        check_id(sandbox_id)
    for sandbox_id in dict.fromkeys(ids):
        try:
            where.about(sandbox_id).kill(sandbox_id)
        except NoSuchSandbox as error:  # it may have ended since it was listed
            if missing_is_error:
                complain(error)
                codes.add(error.exit_code)
        except SandboxError as error:
            complain(error)
            codes.add(error.exit_code)
        else:
            write_line(sandbox_id)
    return max(codes)


@sandboxes.command()
def reap(on: On = None) -> int:
    """End what dead e2brun runs of this machine left behind, and nothing else."""
    from e2brun.sandbox.owner import is_left_behind

    where = place(on)
    found = where.sandboxes()
    left = [facts.id for facts in found if is_left_behind(facts.metadata)]
    if not left:
        notice(f"nothing was left behind ({where.name})")
    return _kill(where, left, missing_is_error=False)
