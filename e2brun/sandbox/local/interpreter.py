"""Stand-in until the real one lands."""
import os, sys
from dataclasses import dataclass

@dataclass(frozen=True)
class Interpreter:
    executable: str
    version: tuple[int, int, int]
    prefix: str
    site_packages: tuple[str, ...]
    purelib: str | None

def current_interpreter() -> Interpreter:
    v = sys.version_info
    sp = f"{sys.base_prefix}/lib/python{v[0]}.{v[1]}/site-packages"
    return Interpreter(os.path.realpath(sys._base_executable), v[:3], sys.base_prefix, (sp,), sp)

def find_interpreter(name): raise SystemExit
