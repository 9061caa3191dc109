"""`serve --state`: what a second service in the same directory still has."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2b import Sandbox, SandboxException, Secret, Template, Volume

from tests import waiting
from tests.conftest import COMMAND, clean_environment
from tests.sdk.serving import Serving, served

_KEY = "e2b_" + "5" * 40


def _use(serving: Serving, env: pytest.MonkeyPatch) -> None:
    for name, value in serving.environment.items():
        env.setenv(name, value)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    waiting.until(lambda: not Path(f"/proc/{pid}/cmdline").read_bytes())


@pytest.mark.parametrize("how", [pytest.param("ended", marks=pytest.mark.in_turn(day=1)), "killed"])
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
    moved = (tmp_path / "state").rename(tmp_path / "moved")
    with served(second, *options[:2], "--state", str(moved), "--key", _KEY) as serving:
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
        assert (moved / "secrets.json").stat().st_mode & 0o777 == 0o600
        assert Sandbox.list().next_items() == []
        ran = _serve_again(moved)
    assert ran.returncode == 2
    assert ran.stderr == f"e2brun: --state {moved}: another service uses it\n"
    assert not [path for path in moved.glob("tree-*") if "kept" in path.name]


def _serve_again(state: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "serve", "--template", "base", "--state", str(state)],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=60,
        check=False,
    )


def test_lists_that_are_damaged_are_put_aside_and_nothing_else_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    options = ("--template", "base", "--state", str(state))
    with _killed_in_the_end(tmp_path, monkeypatch, *options):
        sandbox = Sandbox.create("base", timeout=60)
        sandbox.files.write("/data/file", "in it")
        snapshot = sandbox.create_snapshot(name="kept").snapshot_id
        sandbox.pause()
        volume = Volume.create("kept")
        volume.write_file("old", "still here")
        Secret.create("kept", "hunter-4")
    lists = [state / name for name in ("snapshots.json", "secrets.json", "volumes.json")]
    whole = {index: index.read_bytes() for index in lists if index != lists[1]}
    lists[0].write_bytes(whole[lists[0]][:-9])
    lists[1].unlink()
    lists[1].mkdir()
    lists[2].write_bytes(b"")
    with _again(tmp_path / "2", monkeypatch, *options) as serving:
        assert Sandbox.list_snapshots().next_items() == []
        assert Volume.list() == []
        again = Sandbox.connect(sandbox.sandbox_id, timeout=60)
        assert again.files.read("/data/file") == "in it"
        Secret.create("kept", "hunter-5")
        said = [line for line in serving.log.read_text().splitlines() if "put aside" in line]
    assert [line.split(":")[:2] for line in said] == [["e2brun", f" {index}"] for index in lists]
    for index, old in whole.items():
        (aside,) = state.glob(f"{index.name}.damaged-*")
        aside.unlink()
        index.write_bytes(old)
    with _again(tmp_path / "3", monkeypatch, *options):
        made = Sandbox.create(snapshot, timeout=60)
        assert made.files.read("/data/file") == "in it"
        assert Volume.connect(volume.volume_id).read_file("old") == "still here"
        assert Secret.get_info("kept").version == 1


def test_what_has_lost_its_files_is_said_to_and_nothing_else_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    options = ("--template", "base", "--state", str(state))
    with _killed_in_the_end(tmp_path, monkeypatch, *options):
        paused, lost = (Sandbox.create("base", timeout=60) for _ in range(2))
        lost.pause()
        (gone,) = state.glob("tree-*")
        paused.pause()
        volume = Volume.create("lost")
        Template.build(Template().from_base_image().run_cmd("true"), "lost")
    gone.unlink()
    (tree,) = (state / "templates").glob("*.tree")
    tree.unlink()
    (state / "volumes" / volume.volume_id).rmdir()
    (state / "tree-odd").mkdir()
    begun = [state / name for name in ("tree-begun", "layers/.begun", "templates/begun.tree")]
    for file in begun:
        file.write_bytes(b"half")
    with _again(tmp_path / "2", monkeypatch, *options) as serving:
        assert [info.sandbox_id for info in Sandbox.list().next_items()] == [paused.sandbox_id]
        with pytest.raises(SandboxException, match="its files are gone"):
            Sandbox.create("lost")
        assert not [file for file in begun if file.exists()]
        log = serving.log.read_text
        assert f"paused sandbox {lost.sandbox_id} is lost: {gone} is not there\n" in log()
        why = "volume 'lost' cannot be read: the volume cannot be opened: No such file"
        waiting.until(lambda: why in log())
        assert "Traceback" not in log()


@contextmanager
def _killed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> Iterator[None]:
    with _again(tmp_path / "1", monkeypatch, *options) as serving:
        yield
        _kill(serving.pid)


@contextmanager
def _again(directory: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> Iterator[Serving]:
    directory.mkdir()
    with served(directory, *options) as serving:
        _use(serving, monkeypatch)
        yield serving


def test_what_cannot_be_written_down_is_refused_with_the_reason_and_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    lists = [state / name for name in ("snapshots.json", "secrets.json", "volumes.json")]
    with _again(
        tmp_path / "1", monkeypatch, "--template", "base", "--state", str(state)
    ) as serving:
        sandbox = Sandbox.create("base", timeout=60)
        for index in (*lists, state / "paused.json"):
            index.mkdir()
        for made in (
            lambda: sandbox.create_snapshot(name="kept"),
            lambda: Secret.create("kept", "hunter-4"),
            lambda: Volume.create("kept"),
        ):
            with pytest.raises(Exception, match=r"500: it cannot be kept: .*Is a directory"):
                made()
        assert Sandbox.list_snapshots().next_items() == []
        assert Secret.list().next_items() == []
        assert Volume.list() == []
        assert not list(state.glob("tree-*"))
        assert sandbox.pause()
        assert sandbox.kill()
        for index in lists:
            index.rmdir()
        Secret.create("kept", "hunter-4")
        Volume.create("kept")
        log = serving.log.read_text()
        assert "paused sandboxes will not outlive the service: it cannot be kept" in log
        assert "Traceback" not in log
