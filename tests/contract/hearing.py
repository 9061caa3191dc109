"""A program or a cell that was run in a sandbox of any kind, and what was heard of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from e2brun.sandbox.contract import Execution, Program, Result, Sandbox, Upload


@dataclass
class Heard:
    """What a run printed and displayed."""

    stdout: bytes = b""
    stderr: bytes = b""
    results: list[Result] = field(default_factory=list[Result])

    def take_stdout(self, data: bytes) -> None:
        self.stdout += data

    def take_stderr(self, data: bytes) -> None:
        self.stderr += data


def run(sandbox: Sandbox, program: Program, timeout: float = 20) -> tuple[Execution, Heard]:
    heard = Heard()
    execution = sandbox.run_program(
        program, timeout=timeout, stdout=heard.take_stdout, stderr=heard.take_stderr
    )
    return execution, heard


def python(code: str, *arguments: str, **more: object) -> Program:
    source = Upload("main.py", code.encode())
    return Program(("python3", "main.py", *arguments), (source,), **more)  # type: ignore[arg-type]


def cell(sandbox: Sandbox, code: str, timeout: float = 20) -> tuple[Execution, Heard]:
    heard = Heard()
    execution = sandbox.run_cell(
        code,
        timeout=timeout,
        stdout=heard.take_stdout,
        stderr=heard.take_stderr,
        on_result=heard.results.append,
    )
    return execution, heard
