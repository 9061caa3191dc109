"""`python -m tests.benchmarks.pipeline HUMANEVAL.jsonl.gz [ROUNDS]`: what a pipeline costs.

hello   one case against `e2brun exec hello.py`                        at most x1.8
cases   164 programs, two at a time, against xargs -P2 bwrap python3   at most x2
"""

from __future__ import annotations

import gzip
import json
import shlex
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import E2BRUN, base_python, bwrap, interleaved, table

_HELLO = '[pipeline]\nname = "hello"\n[generate]\nfiles = ["hello.py"]\n[execute]\n'
_CASES = """\
[pipeline]
name = "humaneval"
[cases]
file = "cases.jsonl"
[generate]
code = "{{program}}"
[[validate]]
use = "syntax"
[execute]
timeout = "20s"
[[check]]
exit_code = 0
"""


def main() -> None:
    """Both, in a directory of their own."""
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        hello(directory, rounds)
        cases(directory, Path(sys.argv[1]), max(3, rounds // 3))


def hello(directory: Path, rounds: int) -> None:
    (directory / "hello.py").write_text("print('hello')\n")
    (directory / "hello.toml").write_text(_HELLO)
    local = ("--on", "local")
    commands = {
        "e2brun exec hello.py": (*E2BRUN, "exec", *local, "hello.py"),
        "e2brun pipeline run hello.toml": (*E2BRUN, "pipeline", "run", *local, "hello.toml"),
    }
    measured = interleaved(commands, directory, rounds=rounds)
    table("one case", measured, "e2brun exec hello.py", lambda _: "")


def cases(directory: Path, source: Path, rounds: int) -> None:
    with gzip.open(source, "rt") as lines, (directory / "cases.jsonl").open("w") as file:
        for number, line in enumerate(lines):
            case = json.loads(line)
            program = f"{case['prompt']}{case['canonical_solution']}\n{case['test']}\n"
            program += f"check({case['entry_point']})\n"
            (directory / f"case{number:03}.py").write_text(program)
            file.write(json.dumps({"id": case["task_id"], "program": program}) + "\n")
    (directory / "cases.toml").write_text(_CASES)
    plain = shlex.join(bwrap(directory, base_python(), "{}"))
    commands = {
        "xargs -P2 bwrap python3": ("sh", "-c", f"ls case*.py | xargs -P2 -I{{}} {plain}"),
        "e2brun pipeline run": (
            *(*E2BRUN, "pipeline", "run", "--on", "local", "--concurrency", "2", "cases.toml"),
        ),
    }
    measured = interleaved(commands, directory, rounds=rounds)
    table("164 programs", measured, "xargs -P2 bwrap python3", lambda _: "")


if __name__ == "__main__":
    main()
