"""Wheels into a directory, by uv: resolved, fetched and unpacked, never built, none of it run. uv
starts the interpreter, isolated, to ask it for its version; nothing of a package is on its path."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from e2brun.errors import InstallFailed
from e2brun.sandbox.local.packages import uv_report
from e2brun.sandbox.local.packages.indexes import uv_arguments, uv_environment
from e2brun.sandbox.local.packages.tree import remove
from e2brun.sandbox.local.packages.uv_watch import ADDRESS_SPACE, Bounds, Watch
from e2brun.sandbox.local.pythons import find_uv
from e2brun.sandbox.process_group import TIED_TO_US, end_group
from e2brun.sandbox.requirement import CONSTRAINT, OVERRIDE, divided

_SAID = 64 * 1024

# UV_CONFIG_FILE beats --no-config, and a `no-binary` in there beats --only-binary.
_LEASH = f"""{TIED_TO_US}
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and so would uv
for name, limit in ("AS", sys.argv[2]), ("FSIZE", sys.argv[3]), ("CORE", 1):
    kind = getattr(resource, "RLIMIT_" + name)
    hard = resource.getrlimit(kind)[1]
    limit = int(limit) if hard < 0 else min(int(limit), hard)
    resource.setrlimit(kind, (limit, limit))
for name in ("UV_CONFIG_FILE", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD_ISOLATION",
             "UV_EXTRA_BUILD_VARIABLES", "UV_PYTHON_DOWNLOADS", "PYC_INVALIDATION_MODE"):
    os.unsetenv(name)
if not os.getenv("UV_HTTP_RETRIES"):
    os.putenv("UV_HTTP_RETRIES", "2")  # 4 s in place of 10 s before an offline attempt
os.execv(sys.argv[4], sys.argv[4:])
"""


@dataclass
class Job:
    """What to install for which Python, where, and until when (monotonic). `lock` stays held while
    uv lives.

    `cache` is uv's, shared by all builds; `written` counts what uv wrote.
    """

    requirements: Sequence[str]
    executable: str
    target: Path
    cache: Path
    environment: Mapping[str, str] | None  # None: ours
    lock: int
    deadline: float
    bounds: Bounds
    written: int = 0


def install(job: Job) -> None:
    """Install, from uv's cache alone where the registry cannot be reached. Raises InstallFailed
    with uv's reason or the limit that was met, TimeoutError."""
    uv = find_uv()
    own = job.target.parent / "uv"
    command = [uv, *_ARGUMENTS, "--python", job.executable]
    command += ["--cache-dir", str(own), "--target", str(job.target)]
    command += uv_arguments(job.environment or {})
    plain, rules = divided(job.requirements)
    command += _rule_arguments(rules, job.target.parent)
    words = ["--", *plain]
    with _own_cache(own, job.cache):
        failure = _run([*command, *words], job)
        if not failure:
            return
        if not uv_report.is_network_failure(failure):
            raise InstallFailed(uv_report.reason(failure), hint=uv_report.hint(failure))
        if _run([*command, "--offline", *words], job):
            raise InstallFailed(
                f"the package registry cannot be reached: {uv_report.reason(failure)}",
                hint="Check the network and the proxy; what was installed before works without.",
            )


@contextmanager
def _own_cache(own: Path, shared: Path) -> Generator[None]:
    """A cache for uv at `own` that shares all but its top directory with everybody's.

    uv unpacks archives right below that, and moves them when they are complete: what lies there
    is this build's, to be watched, and to be removed if uv does not come to its end.
    """
    own.mkdir()
    for bucket in shared.iterdir():
        if bucket.is_dir():
            (own / bucket.name).symlink_to(bucket)
    try:
        yield
    finally:
        for bucket in own.iterdir():
            if bucket.is_symlink() or not bucket.is_dir() or bucket.name.startswith("."):
                continue
            with suppress(OSError):  # another first build was faster
                bucket.rename(shared / bucket.name)
        remove(own)


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


def _run(command: list[str], job: Job) -> str:
    """What uv said as it failed; nothing if it did not."""
    limits = [str(ADDRESS_SPACE), str(job.bounds.archive)]
    leash = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *limits]
    with (
        TemporaryFile(dir=job.target.parent) as said,
        subprocess.Popen(
            [*leash, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            # An empty place: a uv.toml, or a directory named like a package, next to the user
            # may be as untrusted as the code that is to run.
            cwd=job.target.parent,
            env=None if job.environment is None else uv_environment(job.environment),
            umask=0o022,
            process_group=0,
            pass_fds=(job.lock,),
        ) as process,
    ):
        watch = Watch(process, job.target.parent / "uv", job.bounds)
        try:
            code = watch.wait(job.deadline)
        finally:
            end_group(process)  # Popen's own exit would wait for ever
            job.written += watch.written
        if code == 0:
            return ""
        said.seek(0)
        text = said.read(_SAID).decode("utf-8", "replace")
    return text if text.strip() else f"error: uv ended with code {code}"
