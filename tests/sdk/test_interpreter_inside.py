"""What programs inside see of the code interpreter: its port, and its processes' names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.waiting import until

_ASK = "curl -s -m 5 -w ' %{http_code}' http://0.0.0.0:49999"


def test_a_program_inside_asks_whether_the_interpreter_is_there(interpreter: Any) -> None:
    assert interpreter.commands.run(f"{_ASK}/health").stdout == '"OK" 200'
    assert interpreter.commands.run(f"{_ASK}/execute -d x").stdout.endswith(" 404")


def test_the_interpreters_port_is_refused_to_nobody_for_long(interpreter: Any) -> None:
    silent = "import socket, time; s = [socket.create_connection(('127.0.0.1', 49999))"
    interpreter.commands.run(f'python3 -c "{silent} for _ in range(16)]; time.sleep(1)"')
    assert interpreter.commands.run(f"{_ASK}/health").stdout == '"OK" 200'


@pytest.mark.parametrize("name", ["[i]pykernel_launcher", "[j]upyter-server", "[u]vicorn main:app"])
def test_an_interpreter_that_was_killed_by_its_name_at_e2b_comes_back(
    interpreter: Any, name: str
) -> None:
    interpreter.run_code("lost = 1")
    interpreter.commands.run(f"pkill -9 -f '{name}'", user="root")
    # The first cells may find their kernel dying.
    until(lambda: interpreter.run_code("6 * 7").text == "42")
    assert interpreter.run_code("lost").error.name == "NameError"
    interpreter.files.write("/home/user/after", "still here")
    assert interpreter.commands.run(f"cat after; {_ASK}/health").stdout == 'still here"OK" 200'


def test_the_names_are_not_those_of_an_ordinary_sandbox(sandbox: Any) -> None:
    assert sandbox.commands.run(f"{_ASK}/health || true").stdout == " 000"
    assert sandbox.commands.run("pgrep -f '[j]upyter-server' || true").stdout == ""
