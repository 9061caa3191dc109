"""Sandboxes, their files, figures and logs: as tables for people, as values for `--json`. Every
name and text comes from a sandbox or its creator: nothing of it is active on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import zip_longest

from e2brun.errors import E2brunError
from e2brun.report.columns import columns, painted
from e2brun.report.execution_json import error_value
from e2brun.report.safe import one_line
from e2brun.sandbox.contract import FileEntry
from e2brun.sandbox.e2b.remote import Facts, LogLine, Measured

_STATE_STYLE = {"running": "green", "paused": "yellow"}
_LEVEL_STYLE = {"warn": "yellow", "error": "red"}


def print_sandboxes(found: Sequence[Facts], *, color: bool) -> None:
    now = datetime.now(UTC)
    rows = [
        (
            one_line(facts.id, 60),
            one_line(facts.template, 40),
            one_line(facts.state, 20),
            _span((now - facts.started_at).total_seconds()),
            _left(facts, now),
            _pairs(facts.metadata),
        )
        for facts in found
    ]
    headings = ("ID", "TEMPLATE", "STATE", "AGE", "ENDS IN", "METADATA")
    _print_table(headings, rows, color, [_STATE_STYLE.get(facts.state, "") for facts in found])


def print_facts(facts: Facts, *, color: bool) -> None:
    now = datetime.now(UTC)
    rows = [
        ("id", one_line(facts.id, 60)),
        ("template", one_line(facts.template, 60)),
        ("state", one_line(facts.state, 20)),
        (
            "started",
            f"{_time(facts.started_at)}, {_span((now - facts.started_at).total_seconds())} ago",
        ),
        ("ends", f"{_time(facts.end_at)}, in {_left(facts, now)}" if _ends(facts) else "-"),
        ("cpus", str(facts.cpu_count)),
        ("memory", f"{facts.memory_mb} MiB"),
        ("envd", one_line(facts.envd_version, 40)),
        *(("metadata", _pair(key, value)) for key, value in sorted(facts.metadata.items())),
    ]
    _print_table((), rows, color)


def print_files(entries: Sequence[FileEntry], *, color: bool) -> None:
    """One name a line, with its size; `/` marks a directory, `@` a link, `?` what is neither."""
    marks = {"directory": "/", "symlink": "@", "file": ""}
    rows = [
        (
            str(entry.size) if entry.kind == "file" else "-",
            one_line(entry.name, 300) + marks.get(entry.kind, "?"),
        )
        for entry in entries
    ]
    styles = ["blue" if entry.kind == "directory" else "" for entry in entries]
    _print_table((), rows, color, styles, right=(0,))


def print_metrics(found: Sequence[Measured], *, color: bool) -> None:
    rows = [
        (
            _time(one.time),
            f"{one.cpu_used_pct:.1f} % of {one.cpu_count}",
            f"{_size(one.memory_used)} of {_size(one.memory_total)}",
            f"{_size(one.disk_used)} of {_size(one.disk_total)}",
        )
        for one in found
    ]
    _print_table(("TIME", "CPU", "MEMORY", "DISK"), rows, color)


def print_log(lines: Iterable[LogLine], *, color: bool) -> None:
    for line in lines:
        level = one_line(line.level, 10)
        text = f"{_time(line.time)} {level:<5} {one_line(line.message, 4000)}"
        print(painted(text, _LEVEL_STYLE.get(line.level, "") if color else ""), flush=True)


def facts_value(facts: Facts) -> dict[str, object]:
    found = asdict(facts)
    times = {"started_at": facts.started_at.isoformat(), "end_at": facts.end_at.isoformat()}
    return {"sandbox_id": found.pop("id"), **found, **times}


def measured_value(one: Measured) -> dict[str, object]:
    """For JSON; bytes."""
    found = asdict(one)
    return {"timestamp": found.pop("time").isoformat(), **found}


def failure(error: E2brunError) -> dict[str, object]:
    """The document of a command that failed."""
    said = {"success": False, "error": error_value(error), "exit_code": error.exit_code}
    return {"schema": 1, **said}


def _print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    color: bool,
    styles: Sequence[str] = (),
    right: Sequence[int] = (),
) -> None:
    lines = columns([headings, *rows] if headings else rows, right)
    for line, style in zip_longest(lines, ("", *styles) if headings else styles, fillvalue=""):
        print(painted(line, style if color else ""), flush=True)


def _pairs(metadata: Mapping[str, str]) -> str:
    shown = [_pair(key, value) for key, value in sorted(metadata.items())]
    return one_line(" ".join(shown), 120)


def _pair(key: str, value: str) -> str:
    return f"{one_line(key, 60)}={one_line(value, 120)}"


def _ends(facts: Facts) -> bool:
    return facts.state == "running"


def _left(facts: Facts, now: datetime) -> str:
    return _span((facts.end_at - now).total_seconds()) if _ends(facts) else "-"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _span(seconds: float) -> str:
    """`42s`, `5m`, `2h 10m`, `3d 4h`."""
    left = max(0, round(seconds))
    if left < 120:
        return f"{left}s"
    minutes = left // 60
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours < 48 else f"{hours // 24}d {hours % 24}h"


def _size(count: int) -> str:
    return f"{count / 2**20:.0f} MiB" if count < 10 * 2**30 else f"{count / 2**30:.1f} GiB"
