"""The languages of the code interpreter: their names, and what runs each inside a sandbox."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from e2brun.frozen import Frozen
from e2brun.sandbox.local.host import java
from e2brun.sandbox.local.host.streams import of_packets
from e2brun.sandbox.local.isolation.driver import AGENT_DIRECTORY, Jail, agent_code

PYTHON, JAVASCRIPT, TYPESCRIPT = "python", "javascript", "typescript"
_ALIASES = {
    "": PYTHON,
    "py": PYTHON,
    "python3": PYTHON,
    "js": JAVASCRIPT,
    "node": JAVASCRIPT,
    "ts": TYPESCRIPT,
    "sh": "bash",
    "shell": "bash",
}


class Language(Frozen):
    """One language. No `argv`: the sandbox's own Python, forked instead of started."""

    name: str
    argv: tuple[str, ...] = ()
    install: str = ""  # what to do where its interpreter is missing
    attached: java.Classes | None = None  # its process gets a jar of them as 5
    # It gets its stdout and stderr as 6 and 7, too, for pieces to be told apart.
    apart: bool = False


# The option is for Node 18 (Debian 12), where import() in a cell needs it.
_NODE = ("node", "--experimental-vm-modules", f"{AGENT_DIRECTORY}/kernels/javascript/kernel.cjs")
_PIPES = ("3", "4")  # cells and frames, as `contexts` in the agent places them
_NEEDS_NODE = (
    "install Node.js 20 or later on this machine, where the sandbox finds it (/usr/bin/node): "
    "apt-get install nodejs"
)
_NEEDS_R = (
    "install R on this machine, where the sandbox finds it (/usr/bin/Rscript): "
    "apt-get install r-base-core"
)
# In a sandbox of 512 MiB and 64 threads: one compiler thread, no more than half for the heap.
_JAVA = (
    "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:CICompilerCount=1",
    "-XX:+UseSerialGC", "-Xmx256m", "-Xss1m", "-XX:-UsePerfData",
    "--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.io=ALL-UNNAMED",
    "-cp", "/proc/self/fd/5", "Kernel",
)  # fmt: skip
_R = (  # not --vanilla: /etc/R/Renviron says where Debian's R packages are
    "Rscript", "--no-save", "--no-restore", "--no-init-file", "--no-site-file",
    f"{AGENT_DIRECTORY}/kernels/r/kernel.R",
)  # fmt: skip
_BASH = agent_code("kernels.bash.kernel", "main()")
_LANGUAGES = {
    language.name: language
    for language in (
        Language(PYTHON),
        Language(JAVASCRIPT, (*_NODE, *_PIPES), _NEEDS_NODE),
        Language(TYPESCRIPT, (*_NODE, TYPESCRIPT, *_PIPES), _NEEDS_NODE),
        Language("deno", (*_NODE, "deno", *_PIPES), _NEEDS_NODE),  # what E2B's interpreter knows
        Language("bash", ("{python}", "-I", "-S", "-c", _BASH, *_PIPES)),
        Language("java", (*_JAVA, *_PIPES, "6", "7"), java.INSTALL, java.Classes(), apart=True),
        Language("r", (*_R, *_PIPES), _NEEDS_R),
    )
}


def normalised(name: str | None) -> str:
    """E2B's name of a language: lower case, no blanks, aliases resolved; Python for none."""
    plain = (name or "").strip().lower()
    return _ALIASES.get(plain, plain)


def default_context(name: str) -> str:
    """The language of the context that runs cells of `name` which name no context."""
    return JAVASCRIPT if name == TYPESCRIPT else name  # as at E2B: what one defines, both see


def find(name: str) -> Language | None:
    """The language of a normalised name."""
    return _LANGUAGES.get(name)


def request(language: Language, jail: Jail, cwd: str, env: Mapping[str, str]) -> dict[str, Any]:
    """What the agent is told of a context to be started."""
    python = jail.interpreter.executable
    argv = [word.replace("{python}", python) for word in language.argv]  # empty for Python
    return {"argv": argv, "cwd": cwd, "env": dict(env), "executable": python}


def complete(language: Language, given: list[int]) -> None:
    """Add to the ends of stdout, stderr, cells and frames what else its process gets, in the order
    in which the agent places them; all of it is for the caller to close. Raises JavaMissing."""
    given.insert(0, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    if language.attached is not None:
        language.attached.make()
        given.append(language.attached.open())
    if language.apart:
        given += [of_packets(given[1]), of_packets(given[2])]
