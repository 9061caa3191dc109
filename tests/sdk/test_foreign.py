"""Programs nobody here wrote, as their registries have them, under `serve --https -- …`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import uv

from tests.sdk.old_sdks import NotHere, install, run_served

pytestmark = pytest.mark.in_turn(day=2)
_SECONDS = 300
# The executor that CodeAgent(executor_type="e2b") makes, with packages to install and an answer.
_SMOLAGENTS = """
from smolagents import CodeAgent, tool
from smolagents.models import ChatMessage, MessageRole, Model
class Recorded(Model):
    def __init__(self, *texts):
        super().__init__(model_id="recorded")
        self.texts = iter(texts)
    def generate(self, messages, stop_sequences=None, **more):
        text = f"Thought: so.\\n<code>\\n{next(self.texts)}\\n</code>"
        return ChatMessage(role=MessageRole.ASSISTANT, content=text)
@tool
def double(n: int) -> int:
    \"\"\"Doubles.

    Args:
        n: a number
    \"\"\"
    return 2 * n
model = Recorded("1/0", "import numpy\\na = int(numpy.arange(5).sum())", "final_answer(double(a))")
more = {"executor_type": "e2b", "additional_authorized_imports": ["numpy"]}
with CodeAgent([double], model, **more) as agent:
    assert agent.run("go") == 20
    assert "ZeroDivisionError" in str(agent.memory.steps[1].error)
"""
_LANGCHAIN = """
import e2b
from langchain_e2b import E2BSandbox
with e2b.Sandbox.create() as sandbox:
    backend = E2BSandbox(sandbox=sandbox)
    assert backend.execute("echo hi; exit 3").exit_code == 3
    assert backend.execute("sleep 9", timeout=1).exit_code == 124
    backend.write("/home/user/d/a.txt", "one\\ntwo")
    assert backend.edit("/home/user/d/a.txt", "two", "three").occurrences == 1
    assert [match["line"] for match in backend.grep("three", path="/home/user").matches] == [2]
    told = backend.download_files(["/home/user/d/a.txt", "/home/user/none", "/home/user"])
    assert [one.error for one in told] == [None, "file_not_found", "is_directory"], told
"""
# get_public_url makes http:// of the host, not https://.
_AGNO = """
import time, urllib.request
from agno.tools.e2b import E2BTools
tools = E2BTools()
assert "a    3" in tools.run_python_code("import pandas as pd; pd.DataFrame({'a': [1, 2]}).sum()")
assert "hi" in tools.run_command("echo hi")
url = tools.run_server("python3 -m http.server 8080", 8080)
for _ in range(100):
    try:
        assert urllib.request.urlopen(url).status == 200
        break
    except OSError as error:
        why = error
        time.sleep(0.1)
else:
    raise why
tools.shutdown_sandbox()
"""
_COMPUTESDK = """
import { e2b } from '@computesdk/e2b'
const sandbox = await e2b({ apiKey: process.env.E2B_API_KEY }).sandbox.create()
await sandbox.filesystem.writeFile('/tmp/a.txt', 'hello')
const told = await sandbox.runCommand('cat /tmp/a.txt; exit 4')
await sandbox.destroy()
process.exit(told.stdout === 'hello' && told.exitCode === 4 ? 0 : 1)
"""


@pytest.mark.parametrize(
    ("packages", "program"),
    [
        ("smolagents[e2b]", _SMOLAGENTS),
        ("langchain-e2b", _LANGCHAIN),
        ("agno e2b-code-interpreter openai", _AGNO),
    ],
)
def test_a_python_program_made_for_e2b_runs(tmp_path: Path, packages: str, program: str) -> None:
    python = tmp_path / "env" / "bin" / "python"
    _install(uv.find_uv_bin(), "venv", "-q", "-p", sys.executable, str(tmp_path / "env"))
    _install(uv.find_uv_bin(), "pip", "install", "-q", "-p", str(python), *packages.split())
    (tmp_path / "program.py").write_text(program)
    _run(tmp_path, str(python), "program.py")


def test_a_javascript_program_made_for_e2b_runs(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"private": true}')
    options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    _install("npm", "install", *options, "--prefix", str(tmp_path), "@computesdk/e2b", "computesdk")
    (tmp_path / "program.mjs").write_text(_COMPUTESDK)
    _run(tmp_path, "node", "program.mjs")


def _install(*words: str) -> None:
    try:
        install(words, _SECONDS)
    except (NotHere, OSError) as error:
        pytest.skip(f"cannot be installed here: {error}")


def _run(directory: Path, *words: str) -> None:
    pytest.importorskip("cryptography")
    ran = run_served(words, directory, _SECONDS)
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-3000:]
