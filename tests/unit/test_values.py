"""Durations, sizes, switches and dotenv files as people write them."""

from pathlib import Path

import pytest

from e2brun.dotenv import parse_env_assignment, parse_env_file
from e2brun.errors import UsageError
from e2brun.values import parse_count, parse_duration, parse_size, parse_switch


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("1.5", 1.5),
        (".5s", 0.5),
        ("500ms", 0.5),
        ("2m30s", 150),
        ("1h1m1s500ms", 3661.5),
        (" 7 ", 7),
        ("1d", 86400),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "0", "0s", "-1", "5 minutes", "1s2m", "1m1m", "inf", "nan", "1e3", "8d", "9" * 400, "٣s"],
)
def test_what_is_no_duration_is_refused_with_what_is_accepted(text: str) -> None:
    with pytest.raises(UsageError, match=r"write 30, 30s, 5m|more than 0, at most 168 h"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100", 100),
        ("64k", 65536),
        ("512M", 512 * 1024**2),
        ("1G", 1024**3),
        ("10MiB", 10 * 1024**2),
        ("10mb", 10 * 1024**2),
        ("1.5g", 3 * 1024**3 // 2),
        ("5B", 5),
        ("2 T", 2 * 1024**4),
    ],
)
def test_a_size_is_read_in_bytes_by_powers_of_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "M", "1X", "1 0", "9" * 400, "0.0001k"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a size|is out of range"):
        parse_size(text)


def test_a_size_of_zero_is_one_only_where_the_caller_says_so() -> None:
    assert parse_size("0", zero=True) == 0
    assert parse_size("0M", zero=True) == 0


def test_a_long_wrong_value_is_cut_in_the_message() -> None:
    with pytest.raises(UsageError) as caught:
        parse_size("x" * 10_000)
    assert len(str(caught.value)) < 200


def test_a_switch_is_a_word_for_yes_or_no() -> None:
    assert parse_switch("Yes") is True
    assert parse_switch("off") is False
    with pytest.raises(UsageError, match="neither yes nor no"):
        parse_switch("maybe")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "9999999999"])
def test_a_count_is_a_whole_number_of_at_least_one(text: str) -> None:
    assert parse_count("64") == 64
    with pytest.raises(UsageError, match="is not a count"):
        parse_count(text)


def test_an_assignment_keeps_everything_after_the_first_equals_sign() -> None:
    assert parse_env_assignment("A_1==b=\nc ") == ("A_1", "=b=\nc ")
    assert parse_env_assignment("EMPTY=") == ("EMPTY", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hunter2", "NAME=VALUE"),
        ("1A=hunter2", "'1A' is not a variable name"),
        ("=hunter2", "'' is not a variable name"),
        ("A-B=hunter2", "not a variable name"),
        ("Ä=hunter2", "not a variable name"),
        ("A=hunter2\0", "NUL"),
    ],
)
def test_a_wrong_assignment_is_refused_without_its_value(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        parse_env_assignment(text)
    assert "hunter2" not in str(caught.value)


def env_file(directory: Path, text: str) -> Path:
    path = directory / "some.env"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"),
        ("A=", ""),
        ("  export A = 1  ", "1"),
        ("A=1\r\n", "1"),
        ("A=one two # why", "one two"),
        ("A=#1", "#1"),
        ("A=x#1", "x#1"),
        ("A= # nothing", ""),
        ("A='# \"x\" $HOME \\n'  # why", '# "x" $HOME \\n'),
        (r"A='it\'s \\'", "it's \\"),
        (r'A="a\n\t\"b\" \\ \$x \q"', 'a\n\t"b" \\ $x \\q'),
        ('A="one\n# two\nB=3"', "one\n# two\nB=3"),
        ("A=$(id)`id`${A}", "$(id)`id`${A}"),
        ("# A=0\n\nA=first\nA=last", "last"),
        ("\ufeffA=1", "1"),
        ("A=it's", "it's"),
    ],
)
def test_a_dotenv_value_is_read_as_written(tmp_path: Path, text: str, value: str) -> None:
    assert parse_env_file(env_file(tmp_path, text)) == {"A": value}


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("A=1\nB", 2, "not of the form NAME=VALUE"),
        ("A='x\ny'\n\n1B=2", 4, "not of the form NAME=VALUE"),
        ("A=1\n\nB='hunter2", 3, "never closed"),
        ('A="hunter2" x', 1, "text after the closing quote"),
        ('A="x"#y', 1, "text after the closing quote"),
        ("A=hunter2\0", 1, "NUL"),
        ("A.B=hunter2", 1, "not of the form"),
        ("A: hunter2", 1, "not of the form"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_line_and_never_shown(
    tmp_path: Path, text: str, line: int, why: str
) -> None:
    with pytest.raises(UsageError, match=rf"some\.env:{line}: .*{why}") as caught:
        parse_env_file(env_file(tmp_path, text))
    assert "hunter2" not in str(caught.value)


def test_an_env_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        parse_env_file(tmp_path / "none.env")
    (tmp_path / "some.env").write_bytes(b"A=\xff")
    with pytest.raises(UsageError, match="UTF-8"):
        parse_env_file(tmp_path / "some.env")
