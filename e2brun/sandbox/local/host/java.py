"""The classes of the Java kernel: compiled once in the life of a process, by the Java of this
machine that sandboxes see as well, and handed to each kernel as a file that nobody can change.

A kernel that compiled its own source would start in twice the time. Cells in any language import
this module: what compiling takes is imported by who compiles.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from pathlib import Path

from e2brun.sandbox.local import agent

INSTALL = (
    "install a JDK 17 or later on this machine, where the sandbox finds it (/usr/bin/java): "
    "apt-get install default-jdk-headless"
)
_SECONDS = 60.0
_SEEN_INSIDE = "/usr/local/bin:/usr/bin:/bin"


class JavaMissing(Exception):
    """There is no Java here, or not enough of it; the text says what to do."""


class Classes:
    """A jar of the kernel's classes, made when it is first asked for."""

    def __init__(self, path: str = _SEEN_INSIDE) -> None:
        self._path = path
        self._jar = -1
        self._making = allocate_lock()

    def make(self) -> None:
        """Compile them, once; others who ask wait for it. Raises JavaMissing."""
        with self._making:
            if self._jar < 0:
                self._jar = self._make()

    def open(self) -> int:
        """A descriptor of the jar to read it from, for the caller to close."""
        return os.open(f"/proc/self/fd/{self._jar}", os.O_RDONLY | os.O_CLOEXEC)

    def _make(self) -> int:
        import shutil
        import tempfile

        java = shutil.which("java", path=self._path)
        if java is None:
            raise JavaMissing(INSTALL)
        with tempfile.TemporaryDirectory(prefix="e2brun-java-") as directory:
            if complaint := _compile(java, directory):
                raise JavaMissing(f"{INSTALL} ({java} cannot compile it: {complaint})")
            return _sealed(_archive(Path(directory)))


def _compile(java: str, directory: str) -> str:
    """Fill `directory` with classes; why it was not possible, or ''."""
    import subprocess

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
    import io
    import zipfile

    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as archive:  # stored: reading it takes less time
        for file in sorted(directory.glob("*.class")):
            archive.write(file, file.name)
    return jar.getvalue()


def _sealed(content: bytes) -> int:
    """A file in memory that not even its owner can write to: every sandbox is given the same."""
    import fcntl

    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    descriptor = os.memfd_create("kernel.jar", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fchmod(descriptor, 0o444)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
