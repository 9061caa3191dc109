"""`python -m tests.benchmarks.exec [ROUNDS]`: what `e2brun exec` costs, as ratios.

start   hello.py against plain bwrap + python3       at most x5.9, aim 5
help    `e2brun --help` against `import typer`       at most x1.6
stdout  1 GiB against `bwrap ... | cat`              flat memory
file    `--file` of 1 GiB                            flat memory
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import E2BRUN, base_python, bwrap, interleaved, table

GIB = 1024**3
_FLOOD = "import os\nblock = bytes(1 << 16)\nfor _ in range({blocks}): os.write(1, block)\n"


def main() -> None:
    """Run them all in a directory of their own."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        start(directory, rounds)
        streams(directory, max(3, rounds // 4))
        files(directory, max(3, rounds // 4))


def start(directory: Path, rounds: int) -> None:
    (directory / "hello.py").write_text("print('hello')\n")
    commands = {
        "bwrap python3 hello.py": bwrap(directory, base_python(), "hello.py"),
        "e2brun exec hello.py": (*E2BRUN, "exec", "hello.py"),
        "e2brun exec --quiet hello.py": (*E2BRUN, "exec", "--quiet", "hello.py"),
        "e2brun exec --json hello.py": (*E2BRUN, "exec", "--json", "hello.py"),
        "e2brun exec -c 1+1": (*E2BRUN, "exec", "-c", "1+1"),
        "python -c 'import typer'": (sys.executable, "-c", "import typer"),
        "e2brun --help": (*E2BRUN, "--help"),
    }
    measured = interleaved(commands, directory, rounds=rounds)
    table("start-up", measured, "bwrap python3 hello.py", lambda _: "")
    ratio = measured["e2brun --help"].median / measured["python -c 'import typer'"].median
    print(f"  --help / import typer: x{ratio:.2f}")


def streams(directory: Path, rounds: int) -> None:
    (directory / "flood.py").write_text(_FLOOD.format(blocks=GIB >> 16))
    sandboxed = shlex.join(bwrap(directory, base_python(), "flood.py"))
    exec_ = (*E2BRUN, "exec", "--on", "local", "--timeout", "5m", "--max-output", "0", "flood.py")
    commands = {
        "bwrap ... | cat": ("sh", "-c", f"{sandboxed} | cat > /dev/null"),
        "e2brun exec --max-output 0": exec_,
    }
    measured = interleaved(commands, directory, rounds=rounds)
    table(
        "1 GiB of stdout",
        measured,
        "bwrap ... | cat",
        lambda name: f"{1024 / measured[name].median:7.0f} MiB/s",
    )


def files(directory: Path, rounds: int) -> None:
    (directory / "nothing.py").write_text("")
    with (directory / "big").open("wb") as file:
        for _ in range(64):
            file.write(bytes(GIB // 64))
    sizes = ("--disk", "2G", "--memory", "2G")
    commands = {
        "cp 1 GiB": ("cp", "big", "copy"),
        "e2brun exec --file 1 GiB": (
            *(*E2BRUN, "exec", "--on", "local", "--timeout", "5m", *sizes),
            *("--file", "big", "nothing.py"),
        ),
    }
    measured = interleaved(commands, directory, rounds=rounds)
    table(
        "1 GiB in", measured, "cp 1 GiB", lambda name: f"{1024 / measured[name].median:7.0f} MiB/s"
    )


if __name__ == "__main__":
    main()
