"""The JavaScript and TypeScript kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2brun.sandbox.local.packages.npm import typescript_layer
from tests.caches import of_pytest
from tests.primitives.backends import processes_of
from tests.server.kernels import AGENT, RunningKernel
from tests.waiting import until

NODE = shutil.which("node")
KERNEL = str(AGENT / "kernels/javascript/kernel.cjs")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")
STRINGS = "const s = `import x from 'y' ${\"import('z')\"}`; /* import q */ const r = /import a/; s"


_ARGV = (str(NODE), "--experimental-vm-modules", KERNEL)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    """One for all tests that do not mind each other's names."""
    cwd = tmp_path_factory.mktemp("node")
    (cwd / "local.mjs").write_text("export default 1\nexport const two = 2\n")
    (cwd / "old.cjs").write_text("module.exports = Object.fromEntries([['three', 3]])\n")
    with RunningKernel(_ARGV, cwd) as kernel:
        yield kernel


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[RunningKernel]:
    with RunningKernel(_ARGV, tmp_path) as kernel:
        yield kernel


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1 + 1", "2"),
        ("'text'", "text"),
        ("({ a: [1, { b: 2 }] })", "{ a: [ 1, { b: 2 } ] }"),
        ("{a: 1, b: 2}", "{ a: 1, b: 2 }"),
        ("{ let q = 3; q }", "3"),
        ("undefined", None),
        ("null", "null"),
        ("-0", "-0"),
        ("10n ** 20n", "100000000000000000000n"),
        ("await Promise.resolve(5)", "5"),
        ("\n    async function main() { return 'Hi' }\n    await main()\n    ", "Hi"),
        ("(async () => 6)()", "6"),
        ("for await (const x of [7]) x", "7"),
        ("import fs from 'fs'\nimport { sep as s, join } from 'path';\ns + typeof fs.open",
         "/function"),
        ("import d, * as all from './local.mjs'\n[d, all.two]", "[ 1, 2 ]"),
        ("import { three } from './old.cjs'; three", "3"),
        ("import './local.mjs' // for its effects", None),
        ("(await import('./local.mjs')).two", "2"),
        ("({ import: 1 }).import", "1"),
        (STRINGS, "import x from 'y' import('z')"),
        ("require('path').sep", "/"),
        ("'\\u00e9\\u2028\\u{1f600}'", "é\u2028\U0001f600"),
    ],
)  # fmt: skip
def test_the_value_of_a_cell(node: RunningKernel, code: str, text: str | None) -> None:
    cell = node.run(code)
    assert (cell.error, cell.text) == (None, text)


def test_a_cell_may_declare_again_what_another_has_declared(node: RunningKernel) -> None:
    node.run("const x = 1; let y = 2; class A {}")
    assert node.run("const x = 3; let y = 4; class A {}; [x, y]").text == "[ 3, 4 ]"
    assert node.run("x + y").text == "7"


@pytest.mark.parametrize(
    ("code", "error", "traceback"),
    [
        ("throw new TypeError('bad')", ("TypeError", "bad"), "TypeError: bad\n    at cell-1:1:7"),
        ("null.x", ("TypeError", "Cannot read properties of null (reading 'x')"), None),
        ("throw 'text'", ("string", "text"), "Uncaught 'text'"),
        ("Promise.reject(new Error('no'))", ("Error", "no"), None),
        ("\nlet 3", ("SyntaxError", "Unexpected number"),
         "cell-1:2\nlet 3\n    ^\nSyntaxError: Unexpected number"),
        ("throw new Proxy(new Error('p'), { get() { throw 1 } })",
         ("Error", "an error that cannot be shown"), ""),
    ],
)  # fmt: skip
def test_an_error_is_told_without_our_frames(
    node: RunningKernel, code: str, error: tuple[str, str], traceback: str | None
) -> None:
    cell = node.run(code)
    assert cell.error == error
    assert cell.outcome.error is not None
    number = f"cell-{cell.outcome.execution_count}"
    assert traceback in (None, cell.outcome.error.traceback.replace(number, "cell-1"))
    assert "kernel" not in cell.outcome.error.traceback


def test_output_is_written_before_the_end(node: RunningKernel) -> None:
    cell = node.run("console.log('a'.repeat(1e6)); console.error('e')")
    assert (len(cell.stdout), cell.stderr, cell.text) == (1_000_001, "e\n", None)


def test_the_environment_of_a_cell_is_its_own(node: RunningKernel) -> None:
    assert node.run("process.env.FOO", {"FOO": "bar"}).text == "bar"
    assert node.run("process.env.FOO || 'default'").text == "default"


def test_errors_that_nobody_waits_for_are_printed_and_do_no_harm(fresh: RunningKernel) -> None:
    fresh.run("Promise.reject(new Error('lost')); setTimeout(() => { throw new Error('late') })")
    cell = fresh.run("await new Promise(done => setTimeout(done, 50)); 1")
    assert cell.text == "1"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("process.exit()", None),
        ("process.exit(3)", ("Exit", "3")),
        ("await null; try { process.exit(4) } finally { console.log('no') }", ("Exit", "4")),
    ],
)
def test_exit_ends_the_cell_and_not_the_kernel(
    node: RunningKernel, code: str, error: tuple[str, str] | None
) -> None:
    node.run("const x = 1")
    cell = node.run(code)
    assert (cell.error, cell.stdout) == (error, "")
    assert node.run("x").text == "1"


@pytest.mark.parametrize(
    "code",
    [
        "while (true) {}",
        "await null; while (true) {}",
        "await new Promise(done => setTimeout(done, 5)); for (;;);",
        "await new Promise(() => {})",
        "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)",
        "/(a+)+b/.test('a'.repeat(40))",
    ],
)
def test_an_interrupt_ends_the_cell_and_keeps_the_state(fresh: RunningKernel, code: str) -> None:
    """However early it comes: what listens for it takes longer to start than the kernel."""
    fresh.run("const x = 7")
    assert fresh.run(code, interrupt_after=0.1).error == ("KeyboardInterrupt", "")
    assert fresh.run("x").text == "7"


def test_broken_built_ins_stop_neither_the_cell_nor_the_next(fresh: RunningKernel) -> None:
    fresh.run("globalThis.JSON = Object.entries = Array.prototype.map = null; process.stdout.end()")
    cell = fresh.run("console.log('on'); 2")
    assert (cell.stdout, cell.text) == ("on\n", "2")


def test_what_is_displayed_is_a_result(node: RunningKernel) -> None:
    shown = "{ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>', 'text/plain': 'b' }) }"
    (result,) = node.run(shown).outcome.results
    assert result == {"html": "<b>", "text": "b", "extra": {}, "is_main_result": True}
    first, second = node.run("$$.html('<i>'); display({ a: 1 })").outcome.results
    assert first == {"html": "<i>", "extra": {}, "is_main_result": True}
    assert second == {"text": "{ a: 1 }", "extra": {}, "is_main_result": False}


def test_a_result_too_large_becomes_a_note(node: RunningKernel) -> None:
    assert "the limit for a result is 32 MiB" in str(node.run("'x'.repeat(33 << 20)").text)


def test_programs_of_a_cell_inherit_no_descriptor_of_ours(node: RunningKernel) -> None:
    code = "require('child_process').spawnSync('ls', ['/proc/self/fd']).stdout.toString()"
    assert str(node.run(code).text).split() == ["0", "1", "2", "3"]


def test_it_leaves_when_the_host_hangs_up(fresh: RunningKernel) -> None:
    fresh.run("setInterval(() => {}, 1000)")
    assert fresh.hang_up() == 0


@pytest.fixture(scope="session")
def layer(request: pytest.FixtureRequest) -> Path:
    found = typescript_layer(of_pytest(request.config).mkdir("npm-layers"))
    if found is None:
        pytest.skip("npm cannot fetch what strips the types")
    return found


@pytest.fixture(scope="module")
def typescript(layer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    cwd = tmp_path_factory.mktemp("typescript")
    with RunningKernel(_ARGV, cwd, {"E2BRUN_NODE": str(layer)}) as kernel:
        yield kernel


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("function f(x: number, y: number): number {\n  return x - y\n}\nf(1, 2)", "-1"),
        ("enum Color { Red, Green }\nColor.Green", "1"),
        ("import type { X } from 'nowhere'; import fs from 'fs'; typeof fs.open", "function"),
        ("const id = (x) => x; id<number>(3)", "3"),
        ("class P { constructor(private x: number) {}; y() { return this.x } }\nnew P(4).y()", "4"),
    ],
)  # fmt: skip
def test_types_are_stripped(typescript: RunningKernel, code: str, text: str) -> None:
    assert typescript.run(code, language="typescript").text == text


def test_both_languages_see_the_same_names(typescript: RunningKernel) -> None:
    typescript.run("const n: number = 5", language="typescript")
    assert typescript.run("n").text == "5"
    error = typescript.run("let x: = 3", language="typescript").error
    assert error is not None
    assert error[0] == "SyntaxError"


def test_without_the_package_plain_cells_run_and_others_say_what_is_missing(
    node: RunningKernel,
) -> None:
    assert node.run("1 + 1", language="typescript").text == "2"
    if "stripTypeScriptTypes" not in str(node.run("Object.keys(require('module'))").text):
        error = node.run("let x: number = 1", language="typescript").error
        assert error is not None
        assert error[0] == "TypeScriptUnavailable"


def test_no_npm_means_no_layer(tmp_path: Path) -> None:
    assert typescript_layer(tmp_path, {"PATH": os.devnull}) is None


_SERVICE = """
import asyncio, sys
from pathlib import Path
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes.templates import TemplateStore

async def main():
    options = ServiceOptions(
        "key", cache_directory=Path(sys.argv[1]), environment={"PATH": sys.argv[2]}
    )
    work = asyncio.create_task(TemplateStore(options).find_node_packages())
    await asyncio.to_thread(sys.stdin.readline)
    work.cancel()

asyncio.run(main())
"""


@pytest.mark.parametrize("killed", [False, True])
def test_a_service_that_ends_neither_waits_for_npm_nor_leaves_it(
    tmp_path: Path, *, killed: bool
) -> None:
    os.mkfifo(tmp_path / "never")
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\ncd "${0%/*}" && touch started && read x < never\n')
    npm.chmod(0o755)
    command = [sys.executable, "-c", _SERVICE, str(tmp_path / "cache"), f"{tmp_path}:{os.defpath}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as service:
        try:
            until((tmp_path / "started").exists)
            if killed:
                service.kill()
            service.communicate(b"\n", timeout=10)
        finally:
            service.kill()
    until(lambda: not processes_of(str(npm)))
