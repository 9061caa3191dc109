"""Compiled files for a layer, made in a sandbox and written here.

A sandbox cannot write its own __pycache__: without them `import pandas` takes 1.1 s in place of
0.3 s, in every run. The compiler reads what nobody has reviewed, so it works where that can do
no harm, with limits; a file that it cannot do is left without.

What comes out may be lies, and is not looked at: like the source it stands for, it runs in
sandboxes only. The names are ours: the sandbox says "the compiled form of file 17", and no more.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from e2brun.sandbox.contract import MIB, Execution, Limits, Program, SandboxSpec, Sink
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import AGENT_DIRECTORY, Jail, new_id
from e2brun.sandbox.local.isolation.rootfs import layer_place
from e2brun.sandbox.local.packages.tree import entries

_LIMITS = Limits(memory=1024 * MIB, disk=MIB, inodes=1000)
_HEADER = struct.Struct(">II")  # number of the file, bytes that follow: as the agent's has it
_LARGEST = 64 * MIB


def compile_layer(packages: Path, python: Interpreter, room: int, deadline: float) -> int:
    """Put a .pyc beside every .py that is worth it and can be compiled until `deadline`
    (monotonic), `room` bytes in all; how many bytes. Raises SandboxError when no sandbox starts."""
    suffix = f".cpython-{python.version[0]}{python.version[1]}.pyc"
    names = (os.path.relpath(path, packages) for path, _ in entries(str(packages)))
    targets = {
        name: f"{packages}/{_compiled(name, suffix)}"
        for name in sorted(names)
        if _is_worth_it(name)
    }
    missing = [name for name, target in targets.items() if not os.path.exists(target)]
    if not missing:
        return 0
    receiver = Receiver([targets[name] for name in missing], room)
    jail = Jail(new_id(), python, _LIMITS, str(packages))
    arguments = (f"{AGENT_DIRECTORY}/bytecode.py", layer_place(jail), str(_LIMITS.memory))
    command = (python.executable, "-I", "-S", "-W", "ignore", *arguments)
    program = Program(command, stdin=b"\0".join(map(os.fsencode, missing)))
    run_apart(program, jail, deadline, receiver.take)
    return receiver.written


def run_apart(program: Program, jail: Jail, deadline: float, stdout: Sink) -> Execution:
    """Run one of ours in a sandbox of its own until `deadline`. Raises SandboxError."""
    from e2brun.sandbox.local.blocking.starting import start

    sandbox = start(Bubblewrap(), jail, SandboxSpec(limits=jail.limits), _no_packages)
    try:
        seconds = max(0.1, deadline - monotonic())
        return sandbox.run_program(program, timeout=seconds, stdout=stdout, stderr=lambda _: None)
    finally:
        sandbox.kill()


def _no_packages(_requirements: Sequence[str], _python: Interpreter, _timeout: float) -> Path:
    raise AssertionError("nobody installs anything there")


def _is_worth_it(name: str) -> bool:
    """Packages bring tests of their own, which hardly anybody imports: of pandas, scipy and sympy
    they are half of the work."""
    return name.endswith(".py") and "tests" not in name.split("/")[:-1]


def _compiled(source: str, suffix: str) -> str:
    directory, name = os.path.split(source)
    return f"{directory}/__pycache__/{name[:-3]}{suffix}"


class Receiver:
    """Takes what the sandbox prints, and writes it where it belongs: one of `targets`."""

    def __init__(self, targets: list[str], room: int) -> None:
        self._targets, self._room = targets, room
        self._buffer = bytearray()
        self.written = 0

    def take(self, piece: bytes) -> None:
        """Raises BrokenPipeError for what is no compiled file of ours, or too much."""
        self._buffer += piece
        while len(self._buffer) >= _HEADER.size:
            number, size = map(int, _HEADER.unpack_from(self._buffer))
            if number >= len(self._targets) or size > min(_LARGEST, self._room - self.written):
                raise BrokenPipeError
            end = _HEADER.size + size
            if len(self._buffer) < end:
                return
            self._write(self._targets[number], self._buffer[_HEADER.size : end])
            del self._buffer[:end]

    def _write(self, target: str, content: bytearray) -> None:
        cache = os.path.dirname(target)
        with suppress(OSError):  # a file of that name; one that the wheel brought stays as it is
            if not os.path.isdir(cache):
                os.mkdir(cache)
                os.chmod(cache, 0o755)  # noqa: S103
            # Not through what is there: it is a link to the file in uv's cache.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(target, flags, 0o644)
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o644)
                file.write(content)
            self.written += max(4096, len(content))
