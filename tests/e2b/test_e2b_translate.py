from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import httpcore
import httpx
import pyqwest
import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from e2brun.errors import (
    AuthenticationFailed,
    E2brunError,
    RateLimited,
    SandboxError,
    SandboxLost,
    SandboxUnavailable,
)
from e2brun.sandbox.e2b.translate import TABLE, RequestRefused, known, one_line, translated_errors

KEY = "a-key-of-a-self-hosted-endpoint"


def exceptions_of(package: str) -> Iterator[type[Exception]]:
    root = importlib.import_module(package)
    found = [one.name for one in pkgutil.walk_packages(root.__path__, f"{package}.")]
    for module in [root, *map(importlib.import_module, found)]:
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Exception) and f"{value.__module__}.".startswith(f"{package}."):
                yield value


@pytest.mark.filterwarnings("ignore")  # the SDK warns of its own deprecated modules
@pytest.mark.parametrize("package", ["e2b", "e2b_code_interpreter"])
def test_every_exception_of_the_sdk_is_in_the_table(package: str) -> None:
    names = {f"{one.__module__}.{one.__qualname__}" for one in exceptions_of(package)}
    assert names <= TABLE.keys(), f"say what these mean: {sorted(names - TABLE.keys())}"


def test_every_name_in_the_table_exists() -> None:
    for name in TABLE:
        module, _, attribute = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), attribute), type), name


@pytest.mark.parametrize("module", [httpx, httpcore])
def test_every_transport_error_is_known(module: object) -> None:
    named = [
        value
        for name, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, Exception) and "Cookie" not in name
    ]
    unknown = [one for one in named if known(one.__new__(one)) is None]
    # Wrong use of the library, which is a bug and has to look like one.
    assert {one.__name__ for one in unknown} <= {"ConnectionNotAvailable"}


@pytest.mark.parametrize(
    "error",
    [
        pyqwest.ReadError("x"),
        pyqwest.WriteError("x"),
        ConnectError(Code.UNAVAILABLE, "x"),
        ConnectionResetError("x"),
        TimeoutError("x"),
        httpx.ReadTimeout("x"),
    ],
)
def test_a_broken_connection_is_a_lost_sandbox(error: Exception) -> None:
    with pytest.raises(SandboxLost), translated_errors():
        raise error


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (429, RateLimited),
        (500, SandboxUnavailable),
        (502, SandboxUnavailable),
        (503, SandboxUnavailable),
    ],
)
def test_a_refusal_is_what_its_status_says(status: int, ours: type[E2brunError]) -> None:
    with pytest.raises(ours), translated_errors():
        raise RequestRefused(status, "no")


def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(ZeroDivisionError), translated_errors():
        raise ZeroDivisionError


def test_the_text_is_one_line_without_the_key() -> None:
    text = f"bad\nthing \x1b[31m{KEY}\u2028 e2b_{'0' * 40} " + "x" * 1000
    with pytest.raises(SandboxLost) as caught, translated_errors(KEY):
        raise OSError(text)
    said = str(caught.value)
    assert KEY not in said
    assert "e2b_0" not in said
    assert said.isprintable()
    assert len(said) <= 500
    assert caught.value.__cause__ is None  # it would show the key
    assert one_line("\n a \n") == "a"


def test_a_more_exact_error_is_kept() -> None:
    with pytest.raises(AuthenticationFailed), translated_errors(otherwise=SandboxUnavailable):
        raise RequestRefused(401, "no")
    mine = SandboxError("mine")
    with pytest.raises(SandboxError, match="mine"), translated_errors():
        raise mine
