"""`e2brun runs`: what each command asks the store, and how it is told."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.cli.given import given
from e2brun.cli.signals import notice, print_document, write_line
from e2brun.errors import E2brunError, UsageError
from e2brun.runs.finding import find
from e2brun.runs.origin import KINDS
from e2brun.runs.store import Store
from e2brun.runs.unspool import unspool
from e2brun.settings import load_settings

if TYPE_CHECKING:
    from e2brun.runs.origin import Kind, StoredRun

_YEARS = 10 * 366 * 24 * 3600.0


def list_runs(store: str | None, kind: str | None, limit: int, *, as_json: bool) -> int:
    """The newest, one a line."""
    from e2brun.report.runs import run_lines, run_value

    with _opened(store) as opened:
        runs = [] if opened is None else opened.runs(_kind(kind), limit or -1)
    if as_json:
        print_document(_document(runs=[run_value(run) for run in runs]))
    elif runs:
        _print(run_lines(runs))
    else:
        notice("no runs are recorded")
    return 0


def show_run(
    store: str | None, run_id: str, case_id: str | None, *, html: Path | None, as_json: bool
) -> int:
    """One run and its cases, or one of its cases."""
    with _there(store) as opened:
        run = find(opened, run_id)
        if html is not None:
            _write_page(opened, run, html)
        elif case_id is not None:
            _show_case(opened, run, case_id, as_json=as_json)
        elif as_json:
            print_document(_whole(opened, run))
        else:
            _show(opened, run)
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


def _whole(store: Store, run: StoredRun) -> dict[str, object]:
    from dataclasses import asdict

    from e2brun.report.runs import row_value, run_value

    run_id = run.record.id
    return _document(
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
        print_document(_document(run=run.record.id, case=plain(case)))
    else:
        _print(about_case(case))


def _write_page(store: Store, run: StoredRun, file: Path) -> None:
    import shlex

    from e2brun.report.html.page import about, page

    command = shlex.join(("e2brun", *run.origin.command)) if run.origin.command else ""
    head = about(run.record, run.exit_code, {"Command": command, "Kind": run.origin.kind})
    try:
        with file.open("w", encoding="utf-8", errors="replace") as out:
            out.writelines(page(head, lambda: store.cases(run.record.id)))
    except OSError as error:
        raise E2brunError(f"--html {file}: {error.strerror}") from error


def diff_runs(store: str | None, before: str, after: str, *, as_json: bool) -> int:
    """Which cases did not go the same way. Returns 1 where there are some."""
    from e2brun.report.runs import difference_line, difference_value
    from e2brun.runs.comparing import differences

    with _there(store) as opened:
        ids = [find(opened, text).record.id for text in (before, after)]
        found = list(differences(opened, *ids))
    if as_json:
        values = [difference_value(one) for one in found]
        print_document(_document(before=ids[0], after=ids[1], differences=values))
    else:
        _print(map(difference_line, found))
        if not found:
            notice(f"{ids[0]} and {ids[1]} went the same way")
    return 1 if found else 0


def remove_runs(store: str | None, texts: Sequence[str]) -> int:
    """All that is kept of them. Prints their ids."""
    with _there(store) as opened:
        runs = {find(opened, text).record.id: None for text in texts}
        for run_id in runs:
            opened.remove(run_id)
            write_line(run_id)
    return 0


def collect_garbage(
    store: str | None, keep: int | None, older: str | None, size: str | None, *, dry: bool
) -> int:
    """Take away runs beyond the rules, and files of none. Prints the ids of the runs."""
    from dataclasses import replace
    from functools import partial

    from e2brun.runs.keeping import Rules, sweep, tidy
    from e2brun.values import parse_duration, parse_size

    rules = Rules()
    if keep is not None:
        rules = replace(rules, of_one=keep, programs=keep)
    age = given("--older-than", partial(parse_duration, maximum=_YEARS), older)
    if age is not None:
        rules = replace(rules, since=time.time() - age)
    room = given("--max-size", partial(parse_size, zero=True), size)
    if room is not None:
        rules = replace(rules, room=room)
    with _opened(store) as opened:
        if opened is None:
            return 0
        for run_id in tidy(opened, rules, dry=dry):
            write_line(run_id)
        if not dry:
            sweep(opened)
            opened.compact()
    return 0


def export_run(store: str | None, run_id: str, output: Path | None) -> int:
    """All of a run, with its long texts, as JSON lines: the run, then each case."""
    from e2brun.report.runs import run_value
    from e2brun.report.safe import ascii_json
    from e2brun.runs.plain import plain

    with _there(store) as opened:
        run = find(opened, run_id)
        cases = opened.cases(run.record.id, whole=True)

        def lines() -> Iterator[str]:
            yield ascii_json({"schema": 1, "run": run_value(run)})
            for case in cases:
                yield ascii_json({"case": plain(case)})

        if output is None:
            _print(lines())
            return 0
        try:
            with output.open("x", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines())
        except FileExistsError as error:
            raise UsageError(f"{output} is there already and is not overwritten") from error
        except OSError as error:
            raise E2brunError(f"{output}: {error.strerror}") from error
    return 0


def _kind(text: str | None) -> Kind | None:
    if text is None or text in KINDS:
        return text
    raise UsageError(f"--kind {text}: write one of {', '.join(KINDS)}")


def _document(**values: object) -> dict[str, object]:
    return {"schema": 1, "success": True, "error": None, **values}


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        write_line(line)


@contextmanager
def _opened(store: str | None) -> Generator[Store | None, None, None]:
    """The store with all that was recorded; None where nothing ever was. Raises StoreUnusable."""
    from e2brun.runs.spool import spool_of

    path = load_settings(None, None, store=store).store
    if path is None:
        raise UsageError("--store: runs are recorded nowhere", hint="Unset E2BRUN_STORE.")
    if not path.exists() and not spool_of(path).exists():
        yield None
        return
    with closing(Store(path)) as opened:
        unspool(opened)
        yield opened


@contextmanager
def _there(store: str | None) -> Generator[Store, None, None]:
    with _opened(store) as opened:
        if opened is None:
            raise UsageError("no runs are recorded")
        yield opened
