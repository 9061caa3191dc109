"""What a service keeps on disk, and what is left of one that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2brun.server.sandboxes.durable import Scratch


def test_it_is_private_and_goes_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scratch = Scratch()
    (scratch.path / "tree").write_text("x")
    for directory in (scratch.path, scratch.path.parent):
        assert directory.stat().st_mode & 0o777 == 0o700
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_the_next_service_removes_what_a_killed_one_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import os, signal; from e2brun.server.sandboxes.durable import Scratch; "
        "print(Scratch().path, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )
    left = Path(ran.stdout.decode().strip())
    assert left.is_dir()
    alive = Scratch()
    another = Scratch()
    assert (left.parent.exists(), alive.path.is_dir()) == (False, True)
    alive.close()
    another.close()
