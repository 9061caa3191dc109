"""`python -m tests.benchmarks.batch HUMANEVAL.jsonl.gz [ROUNDS]`: what many programs cost.

programs  164, two at a time, against xargs -P2 bwrap python3   batch at most x0.5, pipeline x0.7
empty     a program of no lines, from submit to result          median at most 5 ms a core
"""

from __future__ import annotations

import gzip
import json
import shlex
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.measure import E2BRUN, base_python, bwrap, interleaved, once, table

_BATCH = (*E2BRUN, "batch", "--on", "local", "--jsonl")
_PIPELINE = """\
[pipeline]
name = "humaneval"
[cases]
file = "cases.jsonl"
[generate]
code = "{{code}}"
[[validate]]
use = "syntax"
[execute]
timeout = "20s"
[[check]]
exit_code = 0
"""
_EMPTY = 400


def main() -> None:
    """Both, in a directory of their own."""
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        programs(directory, Path(sys.argv[1]), rounds)
        print(f"\nan empty program  {empty(directory):.1f} ms a core")


def programs(directory: Path, source: Path, rounds: int) -> None:
    with gzip.open(source, "rt") as lines:
        problems = [json.loads(line) for line in lines]
    codes = [
        f"{problem['prompt']}{problem['canonical_solution']}\n{problem['test']}\n"
        f"check({problem['entry_point']})\n"
        for problem in problems
    ]
    for number, code in enumerate(codes):
        (directory / f"case{number:03}.py").write_text(code)
    _write(directory / "cases.jsonl", codes)
    (directory / "cases.toml").write_text(_PIPELINE)
    plain = shlex.join(bwrap(directory, base_python(), "{}"))
    two = ("--concurrency", "2")
    commands: dict[str, Sequence[str]] = {
        "xargs -P2 bwrap python3": ("sh", "-c", f"ls case*.py | xargs -P2 -I{{}} {plain}"),
        "e2brun batch": (*_BATCH, "cases.jsonl", *two),
        "e2brun pipeline run": (*E2BRUN, "pipeline", "run", "--on", "local", *two, "cases.toml"),
    }
    measured = interleaved(commands, directory, rounds=rounds)
    table("164 programs", measured, "xargs -P2 bwrap python3", lambda _: "")


def empty(directory: Path) -> float:
    """Milliseconds, where as many run as there are cores; the first quarter is to warm up."""
    _write(directory / "empty.jsonl", [""] * _EMPTY)
    once((*_BATCH, "empty.jsonl", "--out", "out.jsonl"), directory, 1)
    found = [json.loads(line) for line in (directory / "out.jsonl").read_text().splitlines()]
    seconds: list[float] = [line["seconds"] for line in found[_EMPTY // 4 :]]
    return 1000 * statistics.median(seconds)


def _write(path: Path, codes: Sequence[str]) -> None:
    lines = [json.dumps({"id": str(number), "code": code}) for number, code in enumerate(codes)]
    path.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
