"""`python -m tests.benchmarks.pipeline [ROUNDS]`: one case of a pipeline costs at most x1.8 of
`e2brun exec hello.py`; many are in `batch`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import E2BRUN, interleaved, table

_HELLO = '[pipeline]\nname = "hello"\n[generate]\nfiles = ["hello.py"]\n[execute]\n'


def main() -> None:
    """In a directory of its own."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    local = ("--on", "local")
    commands = {
        "e2brun exec hello.py": (*E2BRUN, "exec", *local, "hello.py"),
        "e2brun pipeline run hello.toml": (*E2BRUN, "pipeline", "run", *local, "hello.toml"),
    }
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "hello.py").write_text("print('hello')\n")
        (directory / "hello.toml").write_text(_HELLO)
        measured = interleaved(commands, directory, rounds=rounds)
        table("one case", measured, "e2brun exec hello.py", lambda _: "")


if __name__ == "__main__":
    main()
