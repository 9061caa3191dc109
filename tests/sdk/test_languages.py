"""Languages other than Python through E2B's own SDK."""

from __future__ import annotations

from typing import Any

import pytest


def test_bash_keeps_its_state_and_streams(interpreter: Any) -> None:
    interpreter.run_code("x=1; cd /tmp", language="bash")
    execution = interpreter.run_code('echo "$FOO $x $PWD"', language="bash", envs={"FOO": "bar"})
    assert execution.logs.stdout == ["bar 1 /tmp\n"]
    assert interpreter.run_code("exit 3", language="bash").error.value == "3"
    assert interpreter.run_code("echo $x ${FOO:-default}", language="bash").logs.stdout == [
        "1 default\n"
    ]


def test_javascript(interpreter: Any) -> None:
    execution = interpreter.run_code("console.log('Hello, World!')", language="js")
    assert execution.logs.stdout == ["Hello, World!\n"]
    interpreter.run_code("import os from 'os'\nconst z = os.EOL", language="js")
    assert interpreter.run_code("z.length", language="javascript").text == "1"
    context = interpreter.create_code_context(cwd="/home", language="js")
    assert interpreter.run_code("process.cwd()", context=context).text == "/home"


def test_javascript_goes_on_after_a_client_has_left(interpreter: Any) -> None:
    from e2b import TimeoutException

    interpreter.run_code("const z = 1", language="js")
    with pytest.raises(TimeoutException):
        interpreter.run_code("while (true) {}", language="js", timeout=1)
    assert interpreter.run_code("z", language="js", timeout=10).text == "1"


@pytest.mark.parametrize("language", ["r", "java", "cobol"])
def test_other_languages_are_refused(interpreter: Any, language: str) -> None:
    from e2b import SandboxException

    with pytest.raises(SandboxException, match="not supported"):
        interpreter.run_code("1", language=language)
