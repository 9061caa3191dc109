"""The quick reader of options and Typer agree wherever the quick one has an answer."""

from __future__ import annotations

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from e2brun.cli.app import app
from e2brun.cli.options import ExecRequest, read_quickly

_COMMAND = typer.main.get_command(app).commands["exec"]  # type: ignore[attr-defined]
_VALUES = st.sampled_from(["x", "", "a b", "K=V", "-", "--json", "-q", "=", "a=b=c", "é", "--"])


def by_typer(words: list[str]) -> ExecRequest | None:
    """None where Typer finds a mistake."""
    try:
        params = dict(_COMMAND.make_context("exec", list(words)).params)
    except Exception as error:
        if hasattr(error, "format_message") or type(error).__name__ == "Exit":
            return None
        raise
    return ExecRequest.of(params)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    words: list[str] = []
    for option in draw(st.lists(st.sampled_from(ExecRequest.options), max_size=5)):
        name = draw(st.sampled_from(option.names))
        if option.kind in {"switch", "choice"}:
            words.append(name)
        elif draw(st.booleans()):
            words.append(f"{name}={draw(_VALUES)}")
        else:
            words += [name, draw(_VALUES)]
    return words + draw(st.lists(_VALUES | st.sampled_from(["--nope", "-x", "-qi"]), max_size=4))


@settings(max_examples=200, deadline=None)
@given(command_lines())
def test_both_readers_make_the_same_request(words: list[str]) -> None:
    quick = read_quickly(words)
    if quick is not None:
        assert quick == by_typer(words)


@pytest.mark.parametrize(
    "words",
    [
        ["x.py"],
        ["--on", "local", "--timeout=3s", "x.py", "--json", "-q"],
        ["--install", "a", "--install", "b", "--network", "--no-network", "-q", "-"],
        ["-c", "1+1"],
        ["--network", "packages", "x.py", "--network", "none"],
        ["--network", "x.py", "packages"],
        ["--network=none", "--network", "-q", "x.py"],
    ],
)
def test_plain_command_lines_are_read_quickly(words: list[str]) -> None:
    assert read_quickly(words) is not None
    assert read_quickly(words) == by_typer(words)


@pytest.mark.parametrize(
    ("words", "network", "target"),
    [
        (["--network", "x.py"], "internet", "x.py"),
        (["--network", "packages", "x.py"], "packages", "x.py"),
        (["--network=packages", "none"], "packages", "none"),
        (["--no-network", "packages"], "none", "packages"),
        (["x.py", "--network", "packages"], None, "x.py"),
        (["--env", "--network", "packages"], None, "packages"),
    ],
)
def test_the_network_alone_is_the_internet_and_before_one_of_three_words_that(
    words: list[str], network: str | None, target: str
) -> None:
    for request in (read_quickly(words), by_typer(words)):
        assert request is None or request.flags.get("network") == network
        assert request is None or request.target == target


@pytest.mark.parametrize("words", [[], ["--help"], ["--nope", "x.py"], ["--timeout"], ["--", "x"]])
def test_everything_else_is_left_to_typer(words: list[str]) -> None:
    assert read_quickly(words) is None
