from __future__ import annotations

from e2brun.sandbox.cell_end import exit_code
from e2brun.sandbox.contract import CodeError, Outcome
from e2brun.sandbox.e2b import E2BSandbox
from e2brun.sandbox.e2b.cell import cell_line
from tests.contract.hearing import cell
from tests.e2b.loopback import Loopback


def test_every_kind_of_result_comes_through(sandbox: E2BSandbox) -> None:
    rich = (
        "display(html='<b>', png='iVBO', svg='<svg/>', json={'a': [1]}, data={'c': [1, 2]},"
        " chart={'type': 'line', 'elements': []}, extra={'x/y': 'z'}, unknown='dropped')"
    )
    (result,) = cell(sandbox, rich)[0].results
    assert result == {
        "html": "<b>",
        "png": "iVBO",
        "svg": "<svg/>",
        "json": {"a": [1]},
        "data": {"c": [1, 2]},
        "chart": {"type": "line", "elements": []},
        "extra": {"x/y": "z"},
        "is_main_result": False,
    }


def test_an_exit_code_is_read_as_python_means_it() -> None:
    assert [exit_code(value) for value in ("None", "", "256", "x1", "²")] == [0, 0, 0, 1, 1]


def test_a_server_that_says_the_cell_ended_is_not_asked_whether_it_lives(
    server: Loopback, sandbox: E2BSandbox
) -> None:
    server.end_event = True
    assert cell(sandbox, "1")[0].outcome is Outcome.OK
    assert server.count("GET", "/health") == 0


def test_wrong_types_from_the_sandbox_do_no_harm(sandbox: E2BSandbox) -> None:
    said = (
        "emit = display.__globals__['emit']\n"
        "emit(type='stdout', text=7)\n"
        "emit(type=['stdout'])\n"
        "emit(type='keepalive')\n"
        "emit(type='stdout', text='\\ud800')\n"
        "emit(type='result', text=1, html=['x'], extra=3)\n"
        "emit(type='error', name=None, value={}, traceback=3)\n"
    )
    ended, heard = cell(sandbox, said)
    assert heard.stdout == b"?"
    assert ended.results == ({"extra": {}, "is_main_result": False},)
    assert ended.error == CodeError("Error", "", "")
    assert cell_line(b"[" * 100_000) is None
