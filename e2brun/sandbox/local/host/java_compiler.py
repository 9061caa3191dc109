"""The jar of the Java kernel, made by the compiler of a JDK on this machine."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from e2brun.sandbox.local import agent

_SECONDS = 60.0
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class NoCompiler(Exception):
    """There is no Java, or (the text says why) it cannot compile."""


def make_jar(path: str) -> int:
    """A descriptor of it, with the Java that `path` leads to. Raises NoCompiler."""
    java = shutil.which("java", path=path)
    if java is None:
        raise NoCompiler
    with tempfile.TemporaryDirectory(prefix="e2brun-java-") as directory:
        complaint = _compile(java, directory)
        if complaint:
            raise NoCompiler(f"{java} cannot compile it: {complaint}")
        return _sealed(_archive(Path(directory)))


def _compile(java: str, directory: str) -> str:
    """Fill `directory` with classes; why it was not possible, or ''."""
    sources = sorted(Path(next(iter(agent.__path__)), "kernels", "java").glob("*.java"))
    options = ["-XDignore.symbol.file", "-proc:none", "-nowarn", "-encoding", "UTF-8"]
    compiler = [java, "-XX:TieredStopAtLevel=1", "-m", "jdk.compiler/com.sun.tools.javac.Main"]
    try:
        process = subprocess.run(
            [*compiler, *options, "-d", directory, *map(str, sources)],
            env={"LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if process.returncode == 0:
        return ""
    lines = process.stdout.decode(errors="replace").strip().splitlines()
    return lines[0][:500] if lines else f"exit code {process.returncode}"


def _archive(directory: Path) -> bytes:
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as archive:  # stored: reading it takes less time
        for file in sorted(directory.glob("*.class")):
            archive.write(file, file.name)
    return jar.getvalue()


def _sealed(content: bytes) -> int:
    """A file in memory that not even its owner can write to: every sandbox is given the same."""
    descriptor = os.memfd_create("kernel.jar", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fchmod(descriptor, 0o444)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
