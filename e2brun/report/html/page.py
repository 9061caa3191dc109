"""The page: summary, charts, the table of cases. Readable without JavaScript; asks for nothing.

What came out of a sandbox is text and nothing else: it is escaped everywhere, and a policy in the
page allows its own blocks by their hashes, and pictures as data. Cases are taken one by
one, twice, and written as they come.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from e2brun.report.html.cases import case_row
from e2brun.report.html.charts import Bar, histogram, timeline
from e2brun.report.html.markup import element, text
from e2brun.runs.record import CaseRecord, RunRecord, Verdict

_HERE = Path(__file__).parent
_HEADINGS = (
    ("id", "Case"), ("verdict", "Verdict"), ("outcome", "Outcome"), ("code", "Exit code"),
    ("time", "Time"), ("error", "Why"),
)  # fmt: skip
# Before the table is read: a browser need not lay out ten thousand rows that the script takes away.
_EARLY = "document.documentElement.className = 'scripted';"
_PAGE = 12_000_000  # characters of all texts together, about
_FEWEST, _MOST = 400, 20_000  # of one


def page(
    run: RunRecord,
    exit_code: int | None,
    cases: Callable[[], Iterable[CaseRecord]],
    more: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The document in pieces; `cases` is called twice. `more` is told of the run as well."""
    bars = [_bar(case) for case in cases()]
    style, script = (
        (_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "script.js")
    )
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    policy = _policy(style, _EARLY, script)
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield '<meta name="referrer" content="no-referrer">\n'
    yield '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
    yield f"<title>{text(run.pipeline)} · e2brun</title>\n<style>{style}</style>\n"
    yield f"<script>{_EARLY}</script>\n</head>\n<body>\n"
    yield from _summary(run, _facts(run, exit_code, more or {}), bars)
    yield timeline(bars)
    yield histogram(bars)
    yield from _table(cases, _room(len(bars)))
    yield f"<script>{script}</script>\n</body>\n</html>\n"


def _facts(run: RunRecord, exit_code: int | None, more: Mapping[str, str]) -> Mapping[str, str]:
    end = "" if run.finished is None else f"{run.finished - run.started:.2f} s"
    return {
        "Run": run.id,
        "File": run.file,
        **more,
        "Where": run.backend,
        "Started": datetime.fromtimestamp(run.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "Time": end or "not finished",
        "Exit code": "" if exit_code is None else str(exit_code),
    }


def _policy(style: str, *scripts: str) -> str:
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {allowed}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(block: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(block.encode()).digest()).decode()}'"


def _bar(case: CaseRecord) -> Bar:
    sandbox = case.executions[-1].sandbox_id if case.executions else ""
    return Bar(case.id, case.verdict, case.started, case.seconds, sandbox)


def _summary(run: RunRecord, facts: Mapping[str, str], bars: list[Bar]) -> Iterator[str]:
    yield f'<header>\n<h1>{text(run.pipeline)}</h1>\n<p class="counts">'
    for verdict in Verdict:
        count = sum(bar.verdict is verdict for bar in bars)
        if count:
            yield (
                element("span", f"{count} {verdict.counted}", {"class": f"badge {verdict.value}"})
                + " "
            )
    yield "</p>\n<dl>\n"
    for name, value in facts.items():
        if value:
            yield f"<dt>{text(name)}</dt><dd>{text(value)}</dd>\n"
    yield "</dl>\n"
    for note in run.notes:
        yield element("p", note, {"class": "note"}) + "\n"
    yield "</header>\n"


def _table(cases: Callable[[], Iterable[CaseRecord]], room: int) -> Iterator[str]:
    yield '<section>\n<h2 id="cases">Cases</h2>\n<div id="tools" hidden>\n'
    yield '<label>Find <input id="find" type="search" autocomplete="off"></label>\n'
    yield "<fieldset><legend>Show</legend>"
    for verdict in Verdict:
        yield (
            f'<label><input type="checkbox" name="verdict" value="{verdict.value}" checked> '
            f"{verdict.counted}</label>"
        )
    yield '</fieldset>\n<span id="shown" role="status"></span>\n</div>\n'
    yield '<div class="wide"><table aria-labelledby="cases">\n<thead><tr>'
    for key, heading in _HEADINGS:
        yield f'<th scope="col" data-key="{key}">{heading}</th>'
    yield '</tr></thead>\n<tbody id="rows">\n'
    for case in cases():
        yield from case_row(case, room)
    yield '</tbody>\n</table></div>\n<button id="more" type="button" hidden>More</button>\n'
    yield "</section>\n"


def _room(count: int) -> int:
    """Characters of one text, so that very many cases make a page that a browser can hold."""
    return max(_FEWEST, min(_MOST, _PAGE // (3 * max(count, 1))))
