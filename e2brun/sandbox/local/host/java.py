"""The classes of the Java kernel: compiled once in the life of a process, by the Java of this
machine that sandboxes see as well, and handed to each kernel as a file that nobody can change.

A kernel that compiled its own source would start in twice the time.
"""

from __future__ import annotations

import os
from _thread import allocate_lock

INSTALL = (
    "install a JDK 17 or later on this machine, where the sandbox finds it (/usr/bin/java): "
    "apt-get install default-jdk-headless"
)
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
        # Not before: cells in any language import this module.
        from e2brun.sandbox.local.host.java_compiler import NoCompiler, make_jar

        try:
            return make_jar(self._path)
        except NoCompiler as error:
            why = f" ({error})" if str(error) else ""
            raise JavaMissing(INSTALL + why) from error
