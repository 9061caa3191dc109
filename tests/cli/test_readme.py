"""What README and the topics of `e2brun help` say is so: commands, options, variables, output."""

from __future__ import annotations

import re
import shlex
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer

from e2brun.cli.app import app, show_topic, topics
from e2brun.cli.options import notebook_last
from tests.conftest import Run

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, *topics().values())
# Everything from one command to the end of what the shell takes for it.
_COMMAND_LINE = re.compile(r"(?:^|[\s/(])e2brun((?:[ ](?:'[^']*'|\"[^\"]*\"|[^\s|&;<>()`#'\"])+)+)")
_SPAN = re.compile(r"`(-{1,2}[a-z][a-z-]*)\b[^`]*`")


def _code(text: str) -> Iterator[str]:
    """Lines of the blocks, with what a line that ends in a backslash goes on with, and spans."""
    blocks = re.findall(r"^```(?:sh|console|yaml)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def command_lines(page: Path) -> list[str]:
    return [
        found.strip() for line in _code(page.read_text()) for found in _COMMAND_LINE.findall(line)
    ]


_TREE = typer.main.get_command(app)


def check(words: list[str]) -> str | None:
    """What Typer has against a command line; nothing runs."""
    command, name = _TREE, "e2brun"
    while (commands := getattr(command, "commands", None)) is not None and words:
        if words[0] in {"COMMAND", "TOPIC"}:
            return None
        if words[0].startswith("-"):
            break
        command, name, words = commands.get(words[0]), words[0], words[1:]
        if command is None:
            return f"no command {name}"
    if name == "exec":
        words = notebook_last(words)
    context = command.make_context(name, [], resilient_parsing=True)
    context.resilient_parsing = False  # else it passes over what it does not know
    try:
        command.make_parser(context).parse_args(words)
    except Exception as error:  # noqa: BLE001 - click's or Typer's own, whichever is there
        return str(error)
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_line_that_is_named_is_one(page: Path) -> None:
    lines = command_lines(page)
    wrong = {line: why for line in lines if (why := check(shlex.split(line)))}
    assert wrong == {}


def test_command_lines_are_found_and_wrong_ones_are_seen() -> None:
    lines = command_lines(README)
    assert (
        "exec --json --timeout 5m --install pandas --file data.csv --get out.png plot.py" in lines
    )
    assert "serve -- pytest tests" in lines
    assert len(lines) > 8
    for words in ("exec --nope x.py", "execute x.py", "sandbox make", "serve --nope -- x"):
        assert check(words.split()) is not None


def test_every_option_that_is_named_is_one_of_some_command() -> None:
    known = set(_options(_TREE))
    assert {"--timeout", "--no-network", "-q"} <= known
    wrong = {
        f"{page.name}: {option}"
        for page in PAGES
        for option in _SPAN.findall(page.read_text())
        if option not in known
    }
    assert wrong == set()


def _options(command: object) -> Iterator[str]:
    for parameter in getattr(command, "params", ()):
        yield from (*parameter.opts, *parameter.secondary_opts)
    for inner in getattr(command, "commands", {}).values():
        yield from _options(inner)


def test_every_variable_that_is_named_is_in_the_example_and_explained() -> None:
    example = set(re.findall(r"\bE2B[A-Z_]+\b", (ROOT / ".env.example").read_text()))
    for page in PAGES:
        assert set(re.findall(r"\bE2B[A-Z]*_[A-Z_]+\b", page.read_text())) <= example, page
    assert example <= set(re.findall(r"\bE2B[A-Z_]+\b", topics()["environment"].read_text()))


def test_readme_is_short_and_leads_to_every_topic() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    linked = re.findall(r"^\| \[([a-z-]+)\]\((.+?)\) \| (.+) \|$", text, re.MULTILINE)
    assert linked == [
        (name, str(path.relative_to(ROOT)), path.read_text().splitlines()[0].split(": ")[1])
        for name, path in topics().items()
    ]
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / link).exists(), link


def test_the_readmes_transcript_is_what_happens(e2brun: Run, script: Callable[..., Path]) -> None:
    (transcript,) = re.findall(r"^```console\n(.*?)^```$", README.read_text(), re.M | re.S)
    code: int | None = None
    for said in transcript.removeprefix("$ ").split("\n$ "):
        line, _, expected = said.partition("\n")
        match shlex.split(line):
            case ["cat", name]:
                script(expected, name)
            case ["echo", "$?"]:
                assert str(code) == expected.strip()
            case ["e2brun", *words]:
                ran = e2brun(*words)
                code = ran.code
                assert _timeless(ran.text + ran.err) == _timeless(expected)
            case other:
                raise AssertionError(other)
    assert code is not None


def _timeless(text: str) -> str:
    """Without ids and times, nor how Python underlines what failed, which versions differ in."""
    lines = [line for line in text.strip().splitlines() if set(line) - set(" ^~")]
    return re.sub(r"· i[0-9a-z]{19} · local · [\d.]+ s", "· ID · local · TIME", "\n".join(lines))


def test_help_lists_the_topics_and_explains_each(
    e2brun: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    listed = e2brun("help")
    assert listed.code == 0
    assert e2brun("help", "limits").text == topics()["limits"].read_text()
    for name, path in topics().items():
        assert f"  {name} " in listed.text
        assert show_topic(name, ()) == 0
        assert capfd.readouterr().out == path.read_text()


def test_a_wheel_holds_the_topics_and_the_license(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hatchling.build import build_wheel

    monkeypatch.chdir(ROOT)
    with zipfile.ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        names = wheel.namelist()
    assert {f"e2brun/cli/topics/{name}.md" for name in topics()} <= set(names)
    assert any(name.endswith("/licenses/.github/LICENSE") for name in names)


def test_help_of_a_command_is_that_of_the_command(e2brun: Run) -> None:
    assert e2brun("help", "bench").text == e2brun("bench", "--help").text
    assert e2brun("help", "serve").text.startswith("# serve: ")


def test_an_unknown_topic_is_named_with_the_nearest_one(e2brun: Run) -> None:
    ran = e2brun("help", "limts")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err == (
        "e2brun: there is no topic 'limts' (did you mean \"limits\"?)\n  See `e2brun help`.\n"
    )
