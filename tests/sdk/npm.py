"""E2B's packages from npm, installed once into pytest's cache."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "javascript"
_OLDEST_NODE = (20, 18)
_UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")


def project(cache: pytest.Cache) -> Path:
    """A directory with the test files and what they import; skips where it cannot be had."""
    _need_node()
    packages = (SOURCES / "package.json").read_bytes()
    directory = cache.mkdir(f"javascript-{hashlib.sha256(packages).hexdigest()[:16]}")
    with (directory / "lock").open("w") as lock:  # several test runs may share the cache
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / "installed").exists():
            (directory / "package.json").write_bytes(packages)
            _install(directory)
            (directory / "installed").touch()
    for source in SOURCES.glob("*.mjs"):
        shutil.copyfile(source, directory / source.name)
    return directory


def _need_node() -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    answer = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    major, minor, *_ = answer.stdout.strip().lstrip("v").split(".")
    if (int(major), int(minor)) < _OLDEST_NODE:
        pytest.skip(f"node {answer.stdout.strip()} is older than what E2B's packages need")


def _install(directory: Path) -> None:
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    try:
        ran = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=240, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install E2B's packages within 240 s")
    causes = [word for word in _UNREACHABLE if word in ran.stderr]
    if ran.returncode and causes:
        pytest.skip(f"npm's registry cannot be reached: {causes[0]}")
    if ran.returncode:
        pytest.fail(f"npm failed: {ran.stderr}")
