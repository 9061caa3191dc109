"""The page of a run: its text, and what a real browser makes of it."""

from __future__ import annotations

import base64
import json
import re
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from zlib import compress, crc32

import pytest

from e2brun.report.html.page import page
from e2brun.runs.record import CaseRecord, RunRecord, Verdict
from e2brun.runs.store import Store
from tests.conftest import Run
from tests.report.browser import CHROMIUM, Browser
from tests.runs.records import ORIGIN, case, execution, run

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "</pre></details></table><h1 id=owned>",
    "\"'><svg onload=\"document.title='owned'\">",
    "<!-- --><style>*{display:none}</style>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "\u202e\x1b[31m\x00\ud800",
)


def _png() -> bytes:
    """One grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", compress(b"\0\x80")) + chunk(b"IEND", b"")


PICTURE = base64.b64encode(_png()).decode()


def _page(cases: Sequence[CaseRecord], record: RunRecord | None = None) -> str:
    return "".join(page(record or run(), 1, lambda: cases))


def _hostile() -> list[CaseRecord]:
    return [
        case(
            f"{number} {text}",
            Verdict.FAILED,
            ran=execution(text, "error", error=text, traceback=text, results=({"png": text},)),
            code=text,
            parameters={text: text},
        )
        for number, text in enumerate(HOSTILE)
    ]


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def _elements(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Elements()
    parser.feed(text)
    return parser.found


def test_nothing_that_came_from_a_sandbox_becomes_markup() -> None:
    hostile = run(file=HOSTILE[0])
    found = _elements(_page(_hostile(), RunRecord("r1", HOSTILE[1], HOSTILE[0], HOSTILE[2], 1.0)))
    assert sum(tag == "script" for tag, _ in found) == 2
    assert sum(tag == "style" for tag, _ in found) == 1
    assert sum(tag == "h1" for tag, _ in found) == 1
    assert not [tag for tag, _ in found if tag in {"img", "iframe", "object", "a", "form"}]
    assert not [one for one in found if any(name.startswith("on") for name in one[1])]
    assert not [one for one in found if one[1].get("id") == "owned"]
    assert _elements(_page([], hostile))


def test_what_turns_text_around_is_shown_and_not_obeyed() -> None:
    text = _page(_hostile())
    assert not {"\u202e", "\x1b", "\x00"} & set(text)


def test_the_page_names_nothing_outside_itself() -> None:
    text = _page([case(ran=execution(results=({"png": PICTURE},)))])
    for _, attributes in _elements(text):
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_without_a_script_every_case_is_there_with_all_there_is_of_it() -> None:
    text = _page([case("one"), case("two", Verdict.FAILED, ran=execution("its output", "error"))])
    for expected in ("one", "two", "its output", "print(&#x27;fine&#x27;)", "S1", "it went so"):
        assert expected in text
    assert "1 passed" in text
    assert "1 failed" in text


def test_very_many_cases_make_a_page_that_is_not_too_large() -> None:
    ran = execution("x" * 20_000)
    size = sum(len(piece) for piece in page(run(), 0, lambda: [case(ran=ran)] * 3000))
    assert size < 25_000_000


def test_a_run_of_nothing_has_a_page() -> None:
    assert "Cases" in _page([])
    assert "Cases" in _page([CaseRecord("skipped", "", {}, (), 0.0, 0.0)])


def test_reports_and_shown_runs_are_pages(e2brun: Run, tmp_path: Path) -> None:
    environment = {"E2BRUN_ON": "local", "E2BRUN_STORE": "r.sqlite"}
    (tmp_path / "a.py").write_text("print('</script> from inside')")
    (tmp_path / "p.toml").write_text(
        '[pipeline]\nname = "p"\n[generate]\nfiles = ["a.py"]\n[execute]\n'
    )
    ran = e2brun("pipeline", "run", "p.toml", "--report", "out.html", env=environment)
    assert ran.code == 0
    assert e2brun("runs", "show", "@last", "--html", "shown.html", env=environment).code == 0
    for name in ("out.html", "shown.html"):
        text = (tmp_path / name).read_text()
        assert text.startswith("<!DOCTYPE html>")
        assert "&lt;/script&gt; from inside" in text
    assert "e2brun pipeline run p.toml --report out.html" in (tmp_path / "shown.html").read_text()
    refused = e2brun("runs", "show", "@last", "--html", "no/dir.html", env=environment)
    assert refused.code == 125
    assert refused.err.startswith("e2brun: --html no/dir.html:")


needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with closing(Browser(tmp_path_factory.mktemp("browser"))) as browser:
        yield browser


@pytest.fixture
def browser(opened: Browser) -> Browser:
    """One that has noted nothing yet."""
    opened.problems.clear()
    opened.requests.clear()
    return opened


def _open(browser: Browser, tmp_path: Path, cases: Sequence[CaseRecord]) -> None:
    file = tmp_path / "page.html"
    with file.open("w", encoding="utf-8") as out:
        out.writelines(page(run(), 1, lambda: cases))
    browser.open(file.as_uri())


NAMES = "[...document.querySelectorAll('#rows summary')].map(s => s.textContent)"
SHOWN = "document.getElementById('shown').textContent"


def _some() -> list[CaseRecord]:
    cases = [case(f"case {n}", Verdict.FAILED if n % 3 == 0 else Verdict.PASSED) for n in range(9)]
    marked = case("marked", ran=execution("the needle", results=({"png": PICTURE},)))
    return [*cases, marked]


@needs_browser
def test_the_table_filters_and_sorts_and_opens_by_keyboard(
    browser: Browser, tmp_path: Path
) -> None:
    _open(browser, tmp_path, _some())
    assert browser.value(SHOWN) == "10 of 10 cases, 10 shown"
    browser.value("document.querySelector('input[value=passed]').click()")
    assert browser.value(NAMES) == ["case 0", "case 3", "case 6"]
    browser.value("document.querySelector('th[data-key=id] button').focus()")
    browser.key("Enter", 13, "\r")
    browser.key("Enter", 13, "\r")
    assert browser.value(NAMES) == ["case 6", "case 3", "case 0"]
    sort = "document.querySelector('th[data-key=id]').getAttribute('aria-sort')"
    assert browser.value(sort) == "descending"
    browser.value("document.querySelector('input[value=passed]').click()")
    browser.value("document.getElementById('find').focus()")
    browser.call("Input.insertText", text="NEEDLE")
    browser.until(NAMES, lambda found: found == ["marked"])
    browser.value("document.querySelector('#rows summary').focus()")
    assert not browser.value("document.querySelector('#rows details').open")
    browser.key("Enter", 13, "\r")
    assert browser.value("document.querySelector('#rows details').open")
    shown = browser.value("document.querySelector('#rows .all').innerText")
    for expected in ("the needle", "print('fine')", "low: odd [S1]"):
        assert expected in shown
    width = "document.querySelector('#rows .all').getBoundingClientRect().width"
    assert browser.value(width) > 0.8 * browser.value("document.querySelector('table').clientWidth")
    assert browser.value("document.querySelector('#rows img').naturalWidth") == 1
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []


@needs_browser
def test_hostile_output_does_nothing_in_a_browser(browser: Browser, tmp_path: Path) -> None:
    _open(browser, tmp_path, _hostile())
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("document.title") == "c.jsonl · e2brun"
    assert browser.value("document.getElementById('owned')") is None
    assert len(browser.value(NAMES)) == len(HOSTILE)
    shown = browser.value("document.body.innerText")
    assert "</script><script>document.title='owned'</script>" in shown
    assert browser.problems == []
    assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []


@needs_browser
def test_it_is_dark_where_the_reader_wants_it_dark(browser: Browser, tmp_path: Path) -> None:
    _open(browser, tmp_path, _some())
    color = "getComputedStyle(document.body).backgroundColor"
    found: list[str] = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.call("Emulation.setEmulatedMedia", features=[feature])
        found.append(browser.value(color))
    assert found == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]
    assert browser.value("document.querySelectorAll('svg rect').length") > 1


@needs_browser
def test_thousands_of_cases_are_shown_some_at_a_time_and_all_are_found(
    browser: Browser, tmp_path: Path
) -> None:
    cases = [
        case(f"n{n}", Verdict.FAILED if n == 2876 else Verdict.PASSED, ran=execution("x" * 900))
        for n in range(3000)
    ]
    _open(browser, tmp_path, cases)
    assert browser.until(SHOWN) == "3000 of 3000 cases, 200 shown"
    browser.value("document.getElementById('more').click()")
    assert browser.value(SHOWN) == "3000 of 3000 cases, 400 shown"
    browser.value("document.querySelector('th[data-key=verdict] button').click()")
    assert browser.value(NAMES)[0] == "n2876"
    browser.value("document.getElementById('find').focus()")
    browser.call("Input.insertText", text="n2999")
    browser.until(NAMES, lambda found: found == ["n2999"])
    assert browser.problems == []


@needs_browser
def test_without_javascript_the_table_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    text = _page(_some())
    file.write_text(re.sub("<script>.*?</script>", "", text, flags=re.DOTALL))
    seen = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    ).stdout
    assert seen.count("<summary>") == 10
    assert '<div id="tools" hidden="">' in seen


def test_a_page_of_a_stored_run_holds_one_case_at_a_time(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "r.sqlite")) as store:
        store.begin(run(), ORIGIN)
        for number in range(30):
            store.keep("r1", case(str(number), ran=execution("y" * 5000)))
        stored = store.run("r1")
        assert stored is not None
        text = "".join(page(stored.record, None, lambda: store.cases("r1")))
    assert text.count("<summary>") == 30
    assert json.dumps(text)
