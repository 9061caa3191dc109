"""Wheels into a directory, by uv: resolved, fetched and unpacked, never built, none of it run.

uv starts the interpreter to ask it for its version and to compile what it unpacked. Pre-compiled,
`import pandas` takes 0.3 s in place of 1.1 s, since a sandbox cannot write its own __pycache__.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2brun.errors import InstallFailed
from e2brun.sandbox.local import uv_report
from e2brun.sandbox.local.package_index import uv_arguments, uv_environment
from e2brun.sandbox.requirement import CONSTRAINT, OVERRIDE, divided

_GRACE = 2.0

# Runs before uv, in its process: dies with us even if we are killed with SIGKILL, which a
# preexec_fn could do only at the risk of a deadlock in a process that has threads.
# UV_CONFIG_FILE beats --no-config, and a `no-binary` in there beats --only-binary.
_LEASH = """
import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
except Exception:
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
for name in ("UV_CONFIG_FILE", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD_ISOLATION",
             "UV_EXTRA_BUILD_VARIABLES", "UV_PYTHON_DOWNLOADS", "PYC_INVALIDATION_MODE"):
    os.unsetenv(name)
if not os.getenv("UV_HTTP_RETRIES"):
    os.putenv("UV_HTTP_RETRIES", "2")  # 4 s in place of 10 s before an offline attempt
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Job:
    """What to install for which Python, and where. `lock` stays held while uv lives."""

    requirements: Sequence[str]
    executable: str
    target: Path
    cache: Path
    lock: int


def install(job: Job, environment: Mapping[str, str] | None, deadline: float) -> None:
    """Install, from uv's cache alone where the registry cannot be reached.

    Raises InstallFailed with uv's reason, TimeoutError past `deadline` (monotonic).
    """
    uv = find_uv()
    command = [uv, *_ARGUMENTS, "--python", job.executable]
    command += ["--cache-dir", str(job.cache), "--target", str(job.target)]
    command += uv_arguments(environment or {})
    plain, rules = divided(job.requirements)
    command += _rule_arguments(rules, job.target.parent)
    words = ["--", *plain]
    failure = _run([*command, "--compile-bytecode", *words], job, environment, deadline)
    if failure and "bytecode" in failure.lower():
        # A file that the compiler chokes on must not cost the packages: they run without.
        failure = _run([*command, *words], job, environment, deadline)
    if not failure:
        return
    if not uv_report.is_network_failure(failure):
        raise InstallFailed(uv_report.reason(failure), hint=uv_report.hint(failure))
    offline = [*command, "--offline", "--compile-bytecode", *words]
    if _run(offline, job, environment, deadline):
        raise InstallFailed(
            f"the package registry cannot be reached: {uv_report.reason(failure)}",
            hint="Check the network and the proxy; what was installed before works without.",
        )


_ARGUMENTS = (
    *("pip", "install", "--no-config", "--only-binary", ":all:", "--no-python-downloads"),
    # A symlink into uv's cache would point nowhere inside a sandbox.
    *("--link-mode", "hardlink", "--no-progress", "--color", "never"),
)


def _rule_arguments(rules: Mapping[str, Sequence[str]], directory: Path) -> Iterator[str]:
    """uv's options for rules; it reads constraints and overrides from files."""
    for option, values in rules.items():
        if option in {CONSTRAINT, OVERRIDE}:
            file = directory / f"{option[2:]}.txt"
            file.write_text("".join(f"{value}\n" for value in values), "utf-8")
            yield from (option, str(file))
        else:
            yield from (f"{option}={value}" for value in values)


def find_uv() -> str:
    """The uv that came with e2brun, else the one on PATH. Raises InstallFailed."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if not found:
        raise InstallFailed("uv, which installs packages, was not found", hint="pip install uv")
    return os.path.abspath(found)


def _run(
    command: list[str], job: Job, environment: Mapping[str, str] | None, deadline: float
) -> str:
    """What uv said as it failed; nothing if it did not."""
    leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid())]
    with subprocess.Popen(
        [*leash, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # An empty place: a uv.toml, or a directory named like a package, next to the user
        # may be as untrusted as the code that is to run.
        cwd=job.target.parent,
        env=None if environment is None else uv_environment(environment),
        umask=0o022,
        process_group=0,
        pass_fds=(job.lock,),
    ) as process:
        try:
            _, stderr = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            _end(process)
    if process.returncode == 0:
        return ""
    said = stderr.decode("utf-8", "replace")
    return said if said.strip() else f"error: uv ended with code {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """TERM, grace, KILL, for the whole group; Popen's own exit would wait for ever."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
