"""`e2brun sandbox`: what each command asks the provider, and how it is told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from e2brun.cli.given import given
from e2brun.cli.sandbox_place import Place, place
from e2brun.cli.signals import complain, notice, print_document, write_line
from e2brun.errors import SandboxError, UsageError
from e2brun.values import Network, parse_duration

if TYPE_CHECKING:
    from e2brun.cli.sandbox import NewSandbox
    from e2brun.sandbox.e2b.remote import LogLine, Remote

_LOOK_AGAIN_SECONDS = 1.0


def create(asked: NewSandbox) -> int:
    """Print the new sandbox's id."""
    from e2brun.dotenv import parse_env_assignments
    from e2brun.sandbox.contract import SandboxSpec

    where = place(**asked.flags)
    spec = SandboxSpec(
        template=where.settings.template,
        lifetime=_lifetime(asked.timeout),
        metadata=pairs(asked.metadata, "--metadata"),
        env=parse_env_assignments(asked.env),
        network=_network(where),
    )
    sandbox_id = where.creating(lambda remote: remote.create(spec))
    if asked.as_json:
        _document(where, sandbox_id=sandbox_id)
    else:
        write_line(sandbox_id)
    return 0


def _network(where: Place) -> Network | None:
    """What to ask for; the service on this machine gives of that what it was started with."""
    wanted = where.settings.network
    return Network.INTERNET if where.local and wanted is Network.PACKAGES else wanted


def _lifetime(text: str | None) -> float:
    return given("--timeout", parse_duration, text) or 300.0


def pairs(words: Iterable[str], option: str) -> dict[str, str]:
    """`K=V` words. Raises UsageError."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f"{option}: write KEY=VALUE, not {word!a}")
        found[key] = value
    return found


def list_all(on: str | None, states: Sequence[str], metadata: Sequence[str], how: str) -> int:
    """Every sandbox there is. `how`: table, ids or json."""
    from e2brun.sandbox.e2b.remote import STATES

    for state in states:
        if state not in STATES:
            raise UsageError(f"--state {state!a}: write {' or '.join(STATES)}")
    wanted = pairs(metadata, "--metadata")
    where = place(on)
    remote = where.remote()
    found = [] if remote is None else remote.sandboxes(states=states, metadata=wanted)
    from e2brun.report import sandboxes as report

    if how == "json":
        _document(where, sandboxes=[report.facts_value(facts) for facts in found])
    elif how == "ids":
        for facts in found:
            write_line(facts.id)
    elif found:
        report.print_sandboxes(found, color=where.settings.colors(1))
    else:
        notice(f"no sandboxes ({where.name})")
    return 0


def info(on: str | None, sandbox_id: str, *, as_json: bool) -> int:
    """What is known of one."""
    where = place(on)
    facts = where.about(sandbox_id).info(sandbox_id)
    from e2brun.report import sandboxes as report

    if as_json:
        _document(where, **report.facts_value(facts))
    else:
        report.print_facts(facts, color=where.settings.colors(1))
    return 0


def metrics(on: str | None, sandbox_id: str, *, as_json: bool) -> int:
    """Its measurements."""
    where = place(on)
    found = where.about(sandbox_id).metrics(sandbox_id)
    from e2brun.report import sandboxes as report

    if as_json:
        values = [report.measured_value(one) for one in found]
        _document(where, sandbox_id=sandbox_id, metrics=values)
    elif found:
        report.print_metrics(found, color=where.settings.colors(1))
    else:
        notice(f"{sandbox_id} has not been measured yet")
    return 0


def logs(on: str | None, sandbox_id: str, *, follow: bool) -> int:
    """Its log; with `follow` until it ends."""
    from e2brun.report.sandboxes import print_log
    from e2brun.sandbox.e2b.remote import NoSuchSandbox

    where = place(on)
    remote = where.about(sandbox_id)
    color = where.settings.colors(1)
    pages = _Pages(remote, sandbox_id)
    print_log(pages.new(), color=color)
    while follow:
        time.sleep(_LOOK_AGAIN_SECONDS)
        try:
            fresh = pages.new()
            if not fresh:
                remote.info(sandbox_id)  # the log of one that has ended may still be there
        except NoSuchSandbox:
            notice(f"{sandbox_id} has ended")
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


def pause(on: str | None, sandbox_id: str) -> int:
    """Stop it; nothing is lost."""
    if not place(on).about(sandbox_id).pause(sandbox_id):
        notice(f"{sandbox_id} was paused already")
    return 0


def resume(on: str | None, sandbox_id: str, timeout: str | None) -> int:
    """Let it go on."""
    place(on).about(sandbox_id).resume(sandbox_id, _lifetime(timeout))
    return 0


def kill(on: str | None, ids: Sequence[str], metadata: Sequence[str], *, every: bool) -> int:
    """End those named, all, or those that match. Prints the ids of those it ended."""
    if bool(ids) + every + bool(metadata) != 1:
        raise UsageError("kill takes ids, --all, or --metadata KEY=VALUE: one of the three")
    if ids:
        return _kill(place(on), ids, missing_is_error=True)
    wanted = pairs(metadata, "--metadata")
    where = place(on)
    remote = where.remote()
    found = [] if remote is None else remote.sandboxes(metadata=wanted)
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


def reap(on: str | None) -> int:
    """End what dead runs of ours on this machine left behind, and nothing else."""
    from e2brun.sandbox.owner import is_left_behind

    where = place(on)
    remote = where.remote()
    found = [] if remote is None else remote.sandboxes()
    left = [facts.id for facts in found if is_left_behind(facts.metadata)]
    if not left:
        notice(f"nothing was left behind ({where.name})")
    return _kill(where, left, missing_is_error=False)


def _document(where: Place, **values: object) -> None:
    from e2brun.report.sandboxes import document

    print_document(document(where.name, **values))
