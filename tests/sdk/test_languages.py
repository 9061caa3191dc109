"""Languages other than Python through E2B's own SDK."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.sdk.serving import Serving

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@needs_node
def test_javascript(interpreter: Any) -> None:
    execution = interpreter.run_code("console.log('Hello, World!')", language="js")
    assert execution.logs.stdout == ["Hello, World!\n"]
    interpreter.run_code("import os from 'os'\nconst z = os.EOL", language="js")
    assert interpreter.run_code("z.length", language="javascript").text == "1"
    context = interpreter.create_code_context(cwd="/home", language="js")
    assert interpreter.run_code("process.cwd()", context=context).text == "/home"


@needs_node
def test_cells_for_deno_have_its_commonest_calls(interpreter: Any) -> None:
    code = "const name = 'FOO'\nDeno.env.get(name) ?? 'default'"
    told = [interpreter.run_code(code, language="deno", envs=envs) for envs in ({}, {"FOO": "bar"})]
    assert [execution.text for execution in told] == ["default", "bar"]
    written = "await Deno.writeTextFile('a.txt', Deno.cwd()); await Deno.readTextFile('a.txt')"
    assert interpreter.run_code(written, language="deno").text == "/home/user"
    # Packages tell by this name where they are.
    assert interpreter.run_code("typeof Deno", language="js").text == "undefined"


@pytest.mark.in_turn(day=1)
@pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK is installed")
def test_java_goes_on_after_a_client_has_left(service: Serving) -> None:
    from e2b import TimeoutException
    from e2b_code_interpreter import Sandbox

    made: Any = Sandbox.create(timeout=120, envs={"GIVEN": "first"})
    try:
        execution = made.run_code('System.out.println("Hello, World!")', language="java")
        assert execution.logs.stdout == ["Hello, World!", "\n"]
        execution = made.run_code(
            'System.getProperty("GIVEN")', language="java", envs={"GIVEN": "now"}
        )
        assert execution.results[0].text == "now"
        assert made.run_code('System.getProperty("GIVEN")', language="java").text == "first"
        loop = 'for (int i = 0; i < 3000; i++) System.out.println("line " + i);'
        printed = "".join(made.run_code(loop, language="java").logs.stdout)
        assert printed == "".join(f"line {i}\n" for i in range(3000))
        made.run_code("int z = 1", language="java")
        with pytest.raises(TimeoutException):
            made.run_code("while (true) {}", language="java", timeout=1)
        assert made.run_code("z", language="java", timeout=10).text == "1"
    finally:
        made.kill()


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r(interpreter: Any) -> None:
    from e2b import TimeoutException

    execution = interpreter.run_code('print("Hello, World!")', language="r")
    assert execution.logs.stdout == ['[1] "Hello, World!"\n']
    execution = interpreter.run_code("Sys.getenv('FOO')", language="r", envs={"FOO": "bar"})
    assert execution.results[0].text == '[1] "bar"'
    assert interpreter.run_code("plot(1:3)", language="r").results[0].png
    with pytest.raises(TimeoutException):
        interpreter.run_code("z <- 1; repeat {}", language="r", timeout=1)
    assert interpreter.run_code("z", language="r", timeout=10).text == "[1] 1"


def test_other_languages_are_refused(interpreter: Any) -> None:
    from e2b import SandboxException

    with pytest.raises(SandboxException, match="not supported"):
        interpreter.run_code("1", language="cobol")
