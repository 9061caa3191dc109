"""Bandit's findings (extra `validate`). The candidate's own `# nosec` comments do not count."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from e2brun.runs.record import Finding, Severity
from e2brun.sandbox.threads import in_thread
from e2brun.stages.child import Bounds, run_child
from e2brun.stages.validate.compiling import is_simple
from e2brun.stages.validate.inspection import unreadable

_SECONDS = 60.0
_MEMORY = 4 * 1024**3
_MODULE = "bandit"
_lock = threading.Lock()  # its tables are the process's


_Issue = dict[str, Any]  # as bandit writes it


def is_installed() -> bool:
    return importlib.util.find_spec(_MODULE) is not None


async def bandit(source: bytes, file: str) -> list[Finding]:
    """What it says; it is installed."""
    with tempfile.TemporaryDirectory(prefix="e2brun-") as place:
        path = Path(place, "candidate.py")
        path.write_bytes(source)  # noqa: ASYNC240 - small, and into the page cache
        if is_simple(source):
            issues = await in_thread(lambda: _here(str(path)))
        else:
            issues = await _in_a_child(path)
    if issues is None:
        return [unreadable(file, "bandit cannot read it")]
    return [
        Finding(
            file,
            issue["line_number"],
            issue["col_offset"] + 1,
            issue["test_id"],
            _severity(issue["issue_severity"]),
            issue["issue_text"].split("\n")[0],
        )
        for issue in issues
    ]


def _here(path: str) -> list[_Issue] | None:
    """In this process: a tenth of the time. None: it gave up."""
    core = importlib.import_module(f"{_MODULE}.core.manager")
    config = importlib.import_module(f"{_MODULE}.core.config")
    with _lock:
        manager = core.BanditManager(config.BanditConfig(), "file", ignore_nosec=True, quiet=True)
        manager.files_list = [path]
        manager.run_tests()
        if manager.skipped:
            return None
        return [issue.as_dict() for issue in manager.results]


async def _in_a_child(path: Path) -> list[_Issue] | None:
    argv = (sys.executable, "-I", "-m", _MODULE)
    options = ("-q", "-f", "json", "--ignore-nosec", "--exit-zero", path.name)
    bounds = Bounds(_SECONDS, memory=_MEMORY)
    ended = await run_child((*argv, *options), b"", bounds, directory=path.parent)
    try:
        report = json.loads(ended.stdout)
        issues: list[_Issue] = report["results"]
        return None if report["errors"] else issues
    except (ValueError, KeyError, TypeError):
        return None


def _severity(name: str) -> Severity:
    try:
        return Severity(name.lower())
    except ValueError:  # UNDEFINED
        return Severity.LOW
