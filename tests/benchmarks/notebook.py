"""`python -m tests.benchmarks.notebook [ROUNDS]`: what cells and notebooks cost, as ratios.

cell      `exec -c '1 + 1'` against `exec hello.py`                           at most x2.3
repeats   second and later runs of CodeExecutionPrimitive in one process      at most 15 ms
notebook  ten cells with numpy and a plot against `jupyter execute`           at most x0.4

The last one needs `jupyter execute`, ipykernel, numpy and matplotlib where JUPYTER says (an
environment: DIR/bin/jupyter), and a network the first time, for e2brun's layer of the same.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from e2brun import CodeExecutionPrimitive, WorkflowContext
from tests.benchmarks.measure import E2BRUN, interleaved, table

_CELLS = (
    "import numpy as np\nimport matplotlib.pyplot as plt",
    "x = np.linspace(0, 10, 200)",
    "y = np.sin(x)",
    "y.mean()",
    "m = np.arange(12).reshape(3, 4)\nm",
    "m @ m.T",
    "np.linalg.norm(m)",
    "print('sum', m.sum())",
    "plt.plot(x, y)\nplt.title('sine')\nplt.show()",
    "float(y.max())",
)


def main() -> None:
    """Run them all in a directory of their own."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        cell(directory, rounds)
        asyncio.run(repeats(rounds))
        notebook(directory, max(3, rounds // 4))


def cell(directory: Path, rounds: int) -> None:
    (directory / "hello.py").write_text("print('hello')\n")
    program = "e2brun exec hello.py"
    commands = {
        program: (*E2BRUN, "exec", "--on", "local", "hello.py"),
        "e2brun exec -c '1 + 1'": (*E2BRUN, "exec", "--on", "local", "-c", "1 + 1"),
    }
    table("a cell", interleaved(commands, directory, rounds=rounds), program, lambda _: "")


async def repeats(rounds: int) -> None:
    step = CodeExecutionPrimitive(on="local")
    taken: list[float] = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        await step.execute({"code": "1 + 1"}, WorkflowContext(correlation_id="benchmark"))
        taken.append((time.perf_counter() - started) * 1000)
    later = statistics.median(taken[1:])
    print(f"\nCodeExecutionPrimitive\n  first {taken[0]:.0f} ms, later (median) {later:.1f} ms")


def notebook(directory: Path, rounds: int) -> None:
    jupyter = Path(os.environ.get("JUPYTER", sys.prefix)) / "bin" / "jupyter"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells: list[dict[str, object]] = [
        {
            "cell_type": "code", "id": f"cell-{number}", "metadata": {}, "source": source,
            "execution_count": None, "outputs": [],
        }
        for number, source in enumerate(_CELLS)
    ]  # fmt: skip
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (directory / "ten.ipynb").write_text(json.dumps(whole))
    baseline = "jupyter execute"
    commands = {
        baseline: (str(jupyter), "execute", "--output=jupyter.ipynb", "ten.ipynb"),
        "e2brun exec ten.ipynb": (
            *(*E2BRUN, "exec", "--on", "local", "--output", "e2brun.ipynb", "ten.ipynb"),
        ),
    }
    table("ten cells", interleaved(commands, directory, rounds=rounds), baseline, lambda _: "")


if __name__ == "__main__":
    main()
