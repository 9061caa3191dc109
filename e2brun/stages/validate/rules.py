"""What our own security rules look for. Names are dotted; findings are ignored by their rule."""

from __future__ import annotations

import re
from typing import NamedTuple

from e2brun.runs.record import Severity

_LOW, _MEDIUM, _HIGH = Severity.LOW, Severity.MEDIUM, Severity.HIGH


class Rule(NamedTuple):
    """Why a name is told of."""

    name: str
    severity: Severity
    message: str


_IMPORT = "denied-import"
_NATIVE = Rule(_IMPORT, _HIGH, "reaches native code")
_PROCESS = Rule("process", _MEDIUM, "starts programs")
_SHELL = Rule("shell", _HIGH, "runs a shell line or replaces the process")
_CODE = Rule("dynamic-code", _MEDIUM, "runs code that is not in the source")
_DYNAMIC_IMPORT = Rule("dynamic-import", _MEDIUM, "imports what the source may not show")
_PICKLE = Rule("unpickling", _MEDIUM, "runs code that is hidden in data")
_FRAMES = Rule("frames", _MEDIUM, "reaches into other frames or the interpreter")
_SCOPE = Rule("scope", _LOW, "hands out a name space as a dictionary")
DENIED = Rule(_IMPORT, _HIGH, "is not allowed here")

MODULES: dict[str, Rule] = {
    **dict.fromkeys(("ctypes", "_ctypes", "cffi", "_cffi_backend", "mmap"), _NATIVE),
    **dict.fromkeys(
        ("pty", "_posixsubprocess", "posix", "nt", "code", "codeop"),
        Rule(_IMPORT, _HIGH, "is a way around the usual functions"),
    ),
    **dict.fromkeys(("_xxsubinterpreters", "_interpreters", "gc"), _FRAMES),
    **dict.fromkeys(("socket", "_socket"), Rule("network", _LOW, "opens connections")),
    **dict.fromkeys(("telnetlib", "ftplib"), Rule("network", _MEDIUM, "sends in clear text")),
}
_OS_SHELL = (
    "system popen execl execle execlp execlpe execv execve execvp execvpe spawnl spawnle spawnlp "
    "spawnlpe spawnv spawnve spawnvp spawnvpe posix_spawn posix_spawnp startfile"
)
_SUBPROCESS = "Popen run call check_call check_output"
_SHELLS = "getoutput getstatusoutput"


def _words(text: str) -> list[str]:
    return text.split()


def _names(module: str, names: str, rule: Rule) -> dict[str, Rule]:
    return {f"{module}.{name}": rule for name in names.split()}


NAMES: dict[str, Rule] = {
    **_names("os", _OS_SHELL, _SHELL),
    **_names("os", "fork forkpty kill killpg", Rule("process", _LOW, "handles processes")),
    **_names("subprocess", _SUBPROCESS, _PROCESS),
    **_names("subprocess", _SHELLS, _SHELL),
    **_names("asyncio", "create_subprocess_exec", _PROCESS),
    **_names("asyncio", "create_subprocess_shell", _SHELL),
    **_names("pty", "spawn", _SHELL),
    **_names("builtins", "eval exec compile", _CODE),
    **_names("builtins", "__import__", _DYNAMIC_IMPORT),
    **_names("builtins", "breakpoint", Rule("debugger", _LOW, "stops in a debugger")),
    **_names("builtins", "globals locals vars", _SCOPE),
    **_names("builtins", "__builtins__", Rule("dunder", _HIGH, "reaches every builtin")),
    **_names("importlib", "import_module __import__ reload", _DYNAMIC_IMPORT),
    **_names("importlib.machinery", "SourceFileLoader ExtensionFileLoader", _DYNAMIC_IMPORT),
    **_names("importlib.util", "spec_from_file_location module_from_spec", _DYNAMIC_IMPORT),
    **_names("pkgutil", "resolve_name", _DYNAMIC_IMPORT),
    **_names("runpy", "run_path run_module", _CODE),
    **_names("timeit", "timeit repeat", Rule("dynamic-code", _LOW, "may run code from text")),
    **_names("types", "FunctionType CodeType LambdaType", _CODE),
    **_names("pickle", "load loads Unpickler", _PICKLE),
    **_names("_pickle", "load loads Unpickler", _PICKLE),
    **_names("marshal", "load loads", _PICKLE),
    **_names("dill", "load loads", _PICKLE),
    **_names("shelve", "open", _PICKLE),
    **_names("yaml", "unsafe_load full_load", _PICKLE),
    **_names("sys", "_getframe _current_frames settrace setprofile modules", _FRAMES),
    **_names("inspect", "currentframe stack", _FRAMES),
}

DUNDERS = frozenset(
    _words(
        "__subclasses__ __globals__ __builtins__ __bases__ __base__ __mro__ __code__ __closure__ "
        "__getattribute__ __import__ __loader__ __spec__ __reduce__ __reduce_ex__ __self__ "
        "__subclasshook__ __wrapped__ f_back f_globals f_locals f_builtins f_code gi_frame gi_code "
        "cr_frame cr_code ag_frame tb_frame func_globals func_code"
    )
)
HARMLESS_DUNDERS = frozenset(
    _words(
        "__name__ __doc__ __version__ __file__ __class__ __module__ __qualname__ __annotations__ "
        "__all__ __len__ __iter__ __next__ __call__ __eq__ __hash__ __str__ __repr__ __init__ "
        "__enter__ __exit__ __author__ __main__ __dataclass_fields__"
    )
)
_IN_FORMAT = r"\{[^{}]*[.\[]_*(" + "|".join(re.escape(d.strip("_")) for d in sorted(DUNDERS)) + r")"
DUNDER = Rule("dunder", _HIGH, "is a way into Python's internals")
SHELL_TRUE = Rule("shell", _HIGH, "runs a shell line (shell=True)")
COMPUTED_ATTRIBUTE = Rule("dynamic-attribute", _LOW, "names an attribute that is computed")
STAR = Rule("star-import", _LOW, "imports names that are not shown")
RULES = frozenset(
    rule.name
    for rule in (*MODULES.values(), *NAMES.values(), DUNDER, SHELL_TRUE, COMPUTED_ATTRIBUTE, STAR)
) | {"unreadable"}


def dunder_in_format(text: str) -> bool:
    """Whether `str.format` would walk into internals by this text."""
    return "{" in text and len(text) < 10_000 and re.search(_IN_FORMAT, text) is not None


def rule_for(dotted: str) -> Rule | None:
    """The rule for a name, also where it is reached through another module: `random._os.system`."""
    parts = dotted.split(".")
    plain = [part.lstrip("_") if part in {"_os", "_sys", "_io"} else part for part in parts]
    for start in range(max(0, len(plain) - 3), len(plain) - 1):
        if rule := NAMES.get(".".join(plain[start:])):
            return rule
    return None
