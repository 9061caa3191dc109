"""`serve --state`: what a second service in the same directory still has."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from e2b import Sandbox, Secret, Template, Volume

from tests.conftest import COMMAND, clean_environment
from tests.sdk.serving import Serving, served

_KEY = "e2b_" + "5" * 40


def _use(serving: Serving, env: pytest.MonkeyPatch) -> None:
    for name, value in serving.environment.items():
        env.setenv(name, value)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while time.monotonic() < end and Path(f"/proc/{pid}/cmdline").read_bytes():
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_what_was_made_and_what_was_paused_outlive_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    options = ("--template", "base", "--state", str(tmp_path / "state"), "--key", _KEY)
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    with served(first, *options) as serving:
        _use(serving, monkeypatch)
        paused, lean, gone = (
            Sandbox.create("base", timeout=60, metadata={"which": which})
            for which in ("paused", "lean", "gone")
        )
        for sandbox in (paused, lean, gone):
            sandbox.files.write("/data/file", sandbox.sandbox_id)
        snapshot = gone.create_snapshot(name="kept")
        volume = Volume.create("kept")
        volume.write_file("old", "still here")
        user = Sandbox.create("base", timeout=60, volume_mounts={"/mnt/kept": volume})
        user.files.write("/mnt/kept/new", "from inside")
        Template.build(Template().from_base_image().run_cmd("echo built > built"), "built")
        Secret.create("kept", "hunter-4")
        user.pause()
        paused.pause()
        lean.pause(keep_memory=False)
        if how == "killed":
            _kill(serving.pid)
    with served(second, *options) as serving:
        _use(serving, monkeypatch)
        listed = {info.sandbox_id: info for info in Sandbox.list().next_items()}
        assert set(listed) == {paused.sandbox_id, lean.sandbox_id, user.sandbox_id}
        assert listed[paused.sandbox_id].metadata == {"which": "paused"}
        for old in (paused, lean):
            again = Sandbox.connect(old.sandbox_id, timeout=60)
            assert again.files.read("/data/file") == old.sandbox_id
            again.kill()
        again = Sandbox.connect(user.sandbox_id, timeout=60)
        assert again.files.read("/mnt/kept/old") == "still here"
        volume = Volume.connect(volume.volume_id)
        volume.write_file("new", "from outside", force=True)
        assert again.files.read("/mnt/kept/new") == "from outside"
        again.kill()
        made = Sandbox.create(snapshot.snapshot_id, timeout=60)
        assert made.files.read("/data/file") == gone.sandbox_id
        made.kill()
        built = Sandbox.create("built", timeout=60)
        assert built.files.read("built") == "built\n"
        built.kill()
        assert Secret.get_info("kept").version == 1
        assert (tmp_path / "state" / "secrets.json").stat().st_mode & 0o777 == 0o600
        assert Sandbox.list().next_items() == []
        ran = _serve_again(tmp_path / "state")
    assert ran.returncode == 2
    assert ran.stderr == f"e2brun: --state {tmp_path / 'state'}: another service uses it\n"
    assert not [path for path in (tmp_path / "state").glob("tree-*") if "kept" in path.name]


def _serve_again(state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "serve", "--template", "base", "--state", str(state)],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=60,
        check=False,
    )


def test_a_state_that_is_damaged_is_left_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    index = state / "snapshots.json"
    index.write_text('{"x": 1}')
    ran = _serve_again(state)
    assert ran.returncode == 2
    assert "snapshots.json: it is damaged" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert index.read_text() == '{"x": 1}'
