"""Versions of E2B's SDKs against `serve --https`: `python -m tests.sdk.old_sdks` prints the table.

Each is installed apart, with the oldest `e2b` that it takes: what a program that pins it runs on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from tests.conftest import COMMAND, clean_environment

PYTHON = (
    "1.0.0", "1.0.5", "1.1.1", "1.2.1", "1.5.2", "2.0.0", "2.1.1", "2.2.1", "2.3.0", "2.4.1",
    "2.5.0", "2.6.2", "2.7.0", "2.8.1", "2.9.2", "2.10.5", "2.11.5",
)  # fmt: skip
JAVASCRIPT = (
    "1.0.4", "1.1.1", "1.5.1", "2.0.1", "2.1.0", "2.2.0", "2.3.3", "2.4.2", "2.5.0", "2.6.1",
    "2.7.2", "2.8.0",
)  # fmt: skip
WHAT = ("commands", "files", "run_code", "host")
_SECONDS = 180
_PYTHON_PROGRAM = """
import json, time, urllib.request
from e2b_code_interpreter import Sandbox
sandbox = Sandbox.create() if hasattr(Sandbox, "create") else Sandbox()
def host():
    sandbox.commands.run("echo inside > index.html; python3 -m http.server 8000", background=True)
    for _ in range(50):
        try:
            url = f"https://{sandbox.get_host(8000)}/"
            return urllib.request.urlopen(url).read() == b"inside\\n"
        except OSError:
            time.sleep(0.1)
def files():
    sandbox.files.write("a.txt", "x")
    return sandbox.files.read("a.txt") == "x"
tried = dict(
    commands=lambda: sandbox.commands.run("echo hi").stdout == "hi\\n",
    files=files,
    run_code=lambda: sandbox.run_code("1 + 1").text == "2",
    host=host,
)
told = {}
for name, work in tried.items():
    try:
        told[name] = bool(work()) or "wrong"
    except Exception as error:
        told[name] = f"{type(error).__name__}: {error}"
sandbox.kill()
print(json.dumps(told))
"""
_JAVASCRIPT_PROGRAM = """
import { Sandbox } from '@e2b/code-interpreter'
const sandbox = await Sandbox.create()
const tried = {
  commands: async () => (await sandbox.commands.run('echo hi')).stdout === 'hi\\n',
  files: async () => {
    await sandbox.files.write('a.txt', 'x')
    return (await sandbox.files.read('a.txt')) === 'x'
  },
  run_code: async () => (await sandbox.runCode('1 + 1')).text === '2',
  host: async () => {
    const program = 'echo inside > index.html; python3 -m http.server 8000'
    await sandbox.commands.run(program, { background: true })
    for (let i = 0; i < 50; i++) {
      const answer = await fetch(`https://${sandbox.getHost(8000)}/`).catch(() => undefined)
      if (answer?.ok) return (await answer.text()) === 'inside\\n'
      await new Promise((done) => setTimeout(done, 100))
    }
  },
}
const told = {}
for (const [name, work] of Object.entries(tried)) {
  try { told[name] = (await work()) || 'wrong' } catch (error) { told[name] = String(error) }
}
await sandbox.kill()
console.log(JSON.stringify(told))
process.exit(0)
"""


class NotHere(Exception):
    """The version cannot be installed here."""


@dataclass(frozen=True)
class Tried:
    """True, or what went wrong, for each of WHAT."""

    version: str
    told: dict[str, object]

    @property
    def works(self) -> bool:
        return all(self.told.get(what) is True for what in WHAT)


def python(version: str, directory: Path) -> Tried:
    """A version of e2b-code-interpreter, in an environment made in `directory`."""
    python = directory / "env" / "bin" / "python"
    install([uv.find_uv_bin(), "venv", "-q", "-p", sys.executable, str(directory / "env")])
    packages = [f"e2b-code-interpreter=={version}", "e2b"]
    options = ("-q", "-p", str(python), "--resolution", "lowest-direct")
    install([uv.find_uv_bin(), "pip", "install", *options, *packages])
    program = directory / "program.py"
    program.write_text(_PYTHON_PROGRAM)
    return _tried(version, [str(python), str(program)], directory)


def javascript(version: str, directory: Path) -> Tried:
    """A version of @e2b/code-interpreter, installed in `directory`."""
    (directory / "package.json").write_text('{"private": true, "type": "module"}')
    options = ("--silent", "--no-audit", "--no-fund", "--prefix", str(directory))
    install(["npm", "install", *options, f"@e2b/code-interpreter@{version}"])
    (directory / "program.mjs").write_text(_JAVASCRIPT_PROGRAM)
    return _tried(version, ["node", str(directory / "program.mjs")], directory)


def install(words: Sequence[str], seconds: float = _SECONDS) -> None:
    """Raises NotHere."""
    try:
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=seconds)
    except FileNotFoundError as error:
        raise NotHere(f"{words[0]} is not installed") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NotHere(str(getattr(error, "stderr", "") or error)[-300:]) from error


def run_served(
    words: Sequence[str], directory: Path, seconds: float = _SECONDS
) -> subprocess.CompletedProcess[str]:
    """A program under `serve --https`."""
    return subprocess.run(
        [*COMMAND, "serve", "-q", "--https", "--", *words],
        env=clean_environment({"XDG_STATE_HOME": str(directory)}),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _tried(version: str, words: list[str], directory: Path) -> Tried:
    ran = run_served(words, directory)
    try:
        return Tried(version, dict(json.loads(ran.stdout.splitlines()[-1])))
    except (IndexError, ValueError):
        return Tried(version, {"commands": ran.stderr[-300:]})


def main() -> None:
    """Print a table in Markdown."""
    for name, versions, work in (
        ("e2b-code-interpreter (Python)", PYTHON, python),
        ("@e2b/code-interpreter", JAVASCRIPT, javascript),
    ):
        print(f"| {name} | {' | '.join(WHAT)} |\n|---|{'---|' * len(WHAT)}")
        for version in versions:
            with tempfile.TemporaryDirectory() as directory:
                try:
                    told = work(version, Path(directory)).told
                except NotHere as error:
                    told = {WHAT[0]: f"not installed: {error}"}
            cells = ["works" if told.get(what) is True else str(told.get(what)) for what in WHAT]
            print(f"| {version} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
