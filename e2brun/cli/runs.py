"""`e2brun runs`: what each command asks the store, and how it is told."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from e2brun.cli.options import given
from e2brun.cli.signals import notice, print_success, write_line, write_new
from e2brun.cli.typer_command import Json
from e2brun.errors import E2brunError, UsageError

if TYPE_CHECKING:
    from e2brun.runs.origin import Kind, StoredRun
    from e2brun.runs.store import Store

runs = typer.Typer(
    name="runs",
    help="What was run here, by exec, pipeline, batch and bench: list, look, compare, take away.",
    epilog="RUN is an id, the beginning of one, @last, or @last~1 for the one before it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="RUN", help="An id, its beginning, or @last.")]
Where = Annotated[str | None, typer.Option("--store", metavar="FILE", help="Not the usual one.")]

_YEARS = 10 * 366 * 24 * 3600.0


@runs.command("list")
def list_runs(
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="exec, pipeline, batch or bench.")
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=0, help="0: all.")] = 20,
    store: Where = None,
    as_json: Json = False,
) -> int:
    """List the runs there were, newest first."""
    from e2brun.report.runs import run_lines, run_value

    with _opened(store) as opened:
        found = [] if opened is None else opened.runs(_kind(kind), limit or -1)
    if as_json:
        print_success(runs=[run_value(run) for run in found])
    elif found:
        _print(run_lines(found))
    else:
        notice("no runs are recorded")
    return 0


@runs.command()
def show(
    run: Id,
    case: Annotated[str | None, typer.Argument(metavar="[CASE]", help="All of one case.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page for a browser.")
    ] = None,
    store: Where = None,
    as_json: Json = False,
) -> int:
    """Say what is known of a run."""
    with _there(store) as opened:
        found = _found(opened, run)
        if html is not None:
            _write_page(opened, found, html)
        elif case is not None:
            _show_case(opened, found, case, as_json=as_json)
        elif as_json:
            _print_whole(opened, found)
        else:
            _show(opened, found)
    return 0


def _show(store: Store, run: StoredRun) -> None:
    from e2brun.report.runs import about_case, about_run, case_rows, event_lines

    _print(about_run(run))
    if run.origin.kind == "exec":
        for case in store.cases(run.record.id, whole=True):
            _print(about_case(case))
        return
    _print(case_rows(store.rows(run.record.id)))
    _print(event_lines(e for e in store.events(run.record.id) if e.kind != "sandbox"))


def _print_whole(store: Store, run: StoredRun) -> None:
    from dataclasses import asdict

    from e2brun.report.runs import row_value, run_value

    run_id = run.record.id
    print_success(
        **run_value(run),
        cases=[row_value(row) for row in store.rows(run_id)],
        events=[asdict(event) for event in store.events(run_id)],
    )


def _show_case(store: Store, run: StoredRun, case_id: str, *, as_json: bool) -> None:
    from e2brun.report.runs import about_case
    from e2brun.runs.plain import plain

    case = store.case(run.record.id, case_id)
    if case is None:
        from e2brun.values import suggestion

        known = {row.id for row in store.rows(run.record.id)}
        raise UsageError(f"{run.record.id} has no case {case_id!r}{suggestion(case_id, known)}")
    if as_json:
        print_success(run=run.record.id, case=plain(case))
    else:
        _print(about_case(case))


def _write_page(store: Store, run: StoredRun, file: Path) -> None:
    from e2brun.report.html.page import page

    more = {"Command": run.origin.typed, "Kind": run.origin.kind}
    pieces = page(run.record, run.exit_code, lambda: store.cases(run.record.id), more)
    with (
        E2brunError.of_system(f"--html {file}"),
        file.open("w", encoding="utf-8", errors="replace") as out,
    ):
        out.writelines(pieces)


@runs.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="RUN")],
    after: Annotated[str, typer.Argument(metavar="RUN")],
    store: Where = None,
    as_json: Json = False,
) -> int:
    """Say which cases of two runs did not go the same way. Exit code 1 if some did not."""
    from e2brun.report.runs import difference_line, difference_value
    from e2brun.runs.comparing import differences

    with _there(store) as opened:
        ids = [_found(opened, text).record.id for text in (before, after)]
        found = list(differences(opened, *ids))
    if as_json:
        values = [difference_value(one) for one in found]
        print_success(before=ids[0], after=ids[1], differences=values)
    else:
        _print(map(difference_line, found))
        if not found:
            notice(f"{ids[0]} and {ids[1]} went the same way")
    return 1 if found else 0


@runs.command()
def rm(run: Annotated[list[str], typer.Argument(metavar="RUN...")], store: Where = None) -> int:
    """Take runs away, and print their ids."""
    from e2brun.runs.origin import State

    with _there(store) as opened:
        found = {stored.record.id: stored for stored in (_found(opened, text) for text in run)}
        for run_id, stored in found.items():
            if stored.state is State.RUNNING:
                raise UsageError(f"{run_id}: it is still running")
        for run_id in found:
            opened.remove(run_id)
            write_line(run_id)
    return 0


@runs.command()
def gc(
    keep: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Of each pipeline or batch, and of exec.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="30d, 12h: those go, too.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of long outputs. Default 2G.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
    store: Where = None,
) -> int:
    """Take away old runs, and print their ids. By itself e2brun keeps 20 runs of each pipeline or
    batch, 1000 of exec, and 2 GiB."""
    from dataclasses import replace
    from functools import partial

    from e2brun.runs.keeping import Rules, sweep, tidy
    from e2brun.values import parse_duration, parse_size

    rules = Rules()
    if keep is not None:
        rules = replace(rules, of_one=keep, programs=keep)
    age = given("--older-than", partial(parse_duration, maximum=_YEARS), older_than)
    if age is not None:
        rules = replace(rules, since=time.time() - age)
    room = given("--max-size", partial(parse_size, zero=True), max_size)
    if room is not None:
        rules = replace(rules, room=room)
    with _opened(store) as opened:
        if opened is None:
            return 0
        for run_id in tidy(opened, rules, dry=dry_run):
            write_line(run_id)
        if not dry_run:
            sweep(opened)
            opened.compact()
    return 0


@runs.command()
def export(
    run: Id,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: stdout.")
    ] = None,
    store: Where = None,
) -> int:
    """Write all of a run as JSON lines: the run, then each case with its whole output."""
    with _there(store) as opened:
        lines = _exported(opened, _found(opened, run))
        if output is None:
            _print(lines)
            return 0
        write_new(str(output), lines)
    return 0


def _exported(store: Store, run: StoredRun) -> Iterator[str]:
    from e2brun.report.runs import run_value
    from e2brun.report.safe import ascii_json
    from e2brun.runs.plain import plain

    yield ascii_json({"schema": 1, "run": run_value(run)})
    for case in store.cases(run.record.id, whole=True):
        yield ascii_json({"case": plain(case)})


def _kind(text: str | None) -> Kind | None:
    from e2brun.runs.origin import KINDS

    if text is None or text in KINDS:
        return text
    raise UsageError(f"--kind {text}: write one of {', '.join(KINDS)}")


def _found(store: Store, text: str) -> StoredRun:
    from e2brun.runs.finding import find

    return find(store, text)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        write_line(line)


@contextmanager
def _opened(name: str | None) -> Generator[Store | None, None, None]:
    """The store with all that was recorded; None where nothing ever was. Raises StoreUnusable."""
    from e2brun.runs.spool import spool_of
    from e2brun.runs.store import Store, is_missing
    from e2brun.runs.unspool import unspool
    from e2brun.settings import load_settings

    path = load_settings(None, None, store=name).store
    if path is None:
        raise UsageError("--store: runs are recorded nowhere", hint="Unset E2BRUN_STORE.")
    if is_missing(path) and is_missing(spool_of(path)):
        yield None
        return
    with closing(Store(path)) as opened:
        unspool(opened)
        yield opened


@contextmanager
def _there(name: str | None) -> Generator[Store, None, None]:
    with _opened(name) as opened:
        if opened is None:
            raise UsageError("no runs are recorded")
        yield opened
