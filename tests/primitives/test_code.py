from __future__ import annotations

from typing import Any

import pytest

from e2brun import UsageError
from e2brun.primitives.code import read_input
from e2brun.sandbox.contract import Upload


def _read(data: object) -> Any:
    return read_input(data, timeout=30, directory="/home/user/work")


def test_what_is_not_said_has_its_default() -> None:
    request = _read({"code": "1"})
    assert (request.timeout, request.files, request.install) == (30, (), ())


def test_everything_said_is_taken() -> None:
    request = _read(
        {
            "code": "1",
            "timeout": 5,
            "files": {"a.txt": "ä", "/abs": b"\xff", "~/home": ""},
            "install": ["numpy>=2"],
        }
    )
    assert request.timeout == 5
    assert request.install == ("numpy>=2",)
    assert request.files == (
        Upload("/home/user/work/a.txt", "ä".encode()),
        Upload("/abs", b"\xff"),
        Upload("/home/user/home", b""),
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "input has no code"),
        ({"code": None}, "input has no code"),
        ({"code": 5}, "code is text, not int"),
        ("print(1)", "a dict with the key 'code', not str"),
        (None, "not nothing"),
        ({"code": "1", "timeout": 0}, "timeout is a number of seconds above 0, not 0"),
        ({"code": "1", "timeout": True}, "timeout"),
        ({"code": "1", "timeout": "5"}, "timeout"),
        ({"code": "1", "timeout": float("inf")}, "timeout"),
        ({"code": "1", "files": ["a"]}, "files maps paths to contents; this is list"),
        ({"code": "1", "files": {"a": 5}}, r"files\['a'\] is text or bytes, not int"),
        ({"code": "1", "files": {"": "x"}}, "'' is no path"),
        ({"code": "1", "files": {"a\0b": "x"}}, "is no path"),
        ({"code": "1", "install": "numpy"}, "install is a list of requirements, not str"),
        ({"code": "1", "install": [5]}, "5 in install is not a requirement"),
        ({"code": "1", "install": ["num py"]}, "'num py' is not a requirement"),
        ({"code": "'\ud800'"}, "code has half a character"),
        ({"code": "1", "files": {"a": "\ud800"}}, "has half a character"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(data: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _read(data)


def test_keys_of_other_steps_are_passed_over_and_nearly_known_ones_told() -> None:
    request = _read({"code": "1", "syntax_valid": True, 5: 6, "timout": 5, "file": {}})
    assert request.notices == (
        "input has a key 'timout', which nobody reads; did you mean 'timeout'?",
        "input has a key 'file', which nobody reads; did you mean 'files'?",
    )
    assert _read({"code": "1", "files": {}, "file": {}}).notices == ()
