"""`e2brun sandbox` on this machine: sandboxes that outlive the command that made them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import Sandbox, begin, service_pid
from tests.conftest import Run
from tests.waiting import until


def test_listing_without_a_service_starts_none(sandbox: Sandbox, runtime: Path) -> None:
    ran = sandbox("list", "--json")
    assert (ran.code, json.loads(ran.out)["sandboxes"]) == (0, [])
    assert sandbox("list").out == b""
    assert service_pid(runtime) is None


def test_a_sandbox_lives_from_create_to_kill(sandbox: Sandbox, e2brun: Run, runtime: Path) -> None:
    made = sandbox("create", "--metadata", "a=b", "--env", "X=5", "--timeout", "10m")
    sandbox_id = made.text.strip()
    assert (made.code, made.text) == (0, f"{sandbox_id}\n")

    listed = json.loads(sandbox("list", "--json", "--metadata", "a=b").out)["sandboxes"]
    assert [(one["sandbox_id"], one["metadata"]) for one in listed] == [(sandbox_id, {"a": "b"})]
    assert sandbox("list", "-q", "--metadata", "a=c").out == b""
    assert sandbox_id in sandbox("info", sandbox_id).text

    ran = sandbox("exec", sandbox_id, "--", "sh", "-c", "echo $X; echo bad >&2; exit 3")
    assert (ran.code, ran.text, ran.err) == (3, "5\n", "bad\n")
    assert sandbox("exec", sandbox_id, "--", "cat", stdin=b"a\xff\x00").out == b"a\xff\x00"
    in_ci = {"XDG_RUNTIME_DIR": str(runtime), "TF_BUILD": "True"}
    for words, said in (((), "##vso\u200b[x]\n"), (("--raw",), "##vso[x]\n")):
        ran = e2brun("sandbox", "exec", *words, sandbox_id, "--", "echo", "##vso[x]", env=in_ci)
        assert ran.text == said
    late = sandbox("exec", "--timeout", "500ms", sandbox_id, "--", "sleep", "20")
    assert (late.code, "timeout" in late.err) == (124, True)
    assert sandbox("exec", sandbox_id, "--", "sh", "-c", "kill -9 $$").code == 137

    killed = sandbox("kill", sandbox_id)
    assert (killed.code, killed.text.strip()) == (0, sandbox_id)
    assert sandbox("kill", sandbox_id).code == 1
    until(lambda: service_pid(runtime) is None)


def test_an_unknown_id_is_an_answer_and_not_a_failure(shared: Sandbox) -> None:
    for words in (["info"], ["kill"], ["pause"], ["logs"], ["metrics"], ["ls"]):
        ran = shared(*words, "inone")
        assert (ran.code, ran.out, "Traceback" in ran.err) == (1, b"", False), words
    document = json.loads(shared("info", "inone", "--json").out)
    assert (document["success"], document["error"]["name"]) == (False, "NoSuchSandbox")
    # 1 would be the command's own.
    assert shared("exec", "inone", "--", "false").code == 125
    assert shared("info", "../x").code == 2


def test_files_go_in_and_come_out(shared: Sandbox, tmp_path: Path) -> None:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "a b").write_bytes(bytes(range(256)) * 1000)
    (source / "sub" / "run").write_text("#!/bin/sh\necho ran\n")
    (source / "sub" / "run").chmod(0o755)
    (source / "out").symlink_to("/etc/passwd")
    (source / "\udcff").write_bytes(b"")
    (source / "\udcfe").mkdir()
    box = shared("create").text.strip()
    ran = shared("cp", source, f"{box}:dst")
    assert (ran.code, ran.err.count("left out"), ran.err.count("no UTF-8")) == (0, 3, 2)
    ran = shared("cp", source / "\udcff", f"{box}:dst")
    assert (ran.code, "no UTF-8" in ran.err, "Traceback" in ran.err) == (125, True, False)
    assert shared("exec", box, "--", "dst/sub/run").text == "ran\n"
    assert "sub/" in shared("ls", box, "dst").text
    assert shared("cp", f"{box}:dst", tmp_path / "back").code == 0
    assert (tmp_path / "back" / "a b").read_bytes() == (source / "a b").read_bytes()
    assert sorted(p.name for p in (tmp_path / "back").iterdir()) == ["a b", "empty", "sub"]
    # As cp does: into a directory that is there, under its own name.
    assert shared("cp", f"{box}:dst/sub", tmp_path / "back/").code == 0
    assert shared("cp", source / "a b", f"{box}:dst/empty").code == 0
    assert shared("exec", box, "--", "test", "-f", "dst/empty/a b").code == 0
    assert shared("cp", f"{box}:nowhere", tmp_path).code == 125


def test_a_hostile_directory_writes_nothing_outside(shared: Sandbox, tmp_path: Path) -> None:
    box = shared("create").text.strip()
    line = (
        "mkdir e; ln -s / e/root; ln -s /etc/passwd e/l; echo 1 > e/x; "
        "touch \"$(printf 'e/a\\377')\"; "
        "touch \"$(printf 'e/\\033]0;t')\""
    )
    shared("exec", box, "--", "sh", "-c", line)
    ran = shared("cp", f"{box}:e", tmp_path / "got")
    assert (ran.code, "not safe" in ran.err, "\x1b" in ran.err) == (125, True, False)
    assert (tmp_path / "got" / "x").read_bytes() == b"1\n"
    assert all(not path.is_symlink() for path in (tmp_path / "got").rglob("*"))
    assert b"\x1b" not in shared("ls", box, "e").out


def test_a_file_runs_in_a_sandbox_that_lives_on(
    shared: Sandbox, e2brun: Run, shared_runtime: Path, tmp_path: Path
) -> None:
    box = shared("create").text.strip()
    (tmp_path / "prog.py").write_text("import sys; open('left', 'w'); sys.exit(4)")
    env = {"XDG_RUNTIME_DIR": str(shared_runtime)}
    assert e2brun("exec", "--sandbox", box, "prog.py", env=env).code == 4
    assert shared("exec", box, "--", "test", "-f", "left").code == 0
    assert e2brun("exec", "--sandbox", "inone", "prog.py", env=env).code == 125
    assert e2brun("exec", "--sandbox", box, "--memory", "1G", "prog.py", env=env).code == 2


def test_a_paused_sandbox_says_so_and_goes_on_after_resume(shared: Sandbox) -> None:
    box = shared("create").text.strip()
    assert shared("pause", box).code == 0
    assert shared("list", "-q", "--state", "paused").text.strip() == box
    ran = shared("exec", box, "--", "true")
    assert (ran.code, "resume" in ran.err) == (125, True)
    assert shared("resume", box).code == 0
    assert shared("exec", box, "--", "true").code == 0


def test_creates_at_once_share_one_service_whose_key_is_the_users_alone(
    sandbox: Sandbox, runtime: Path
) -> None:
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    creates = [begin("sandbox", "create", env=env, cwd=runtime) for _ in range(2)]
    ids = {process.communicate(timeout=60)[0].decode().strip() for process in creates}
    assert [process.returncode for process in creates] == [0, 0]
    assert set(sandbox("list", "-q").text.split()) == ids
    assert len(ids) == 2
    assert oct((runtime / "e2brun").stat().st_mode)[-3:] == "700"
    for name in ("service.json", "log", "lock"):
        assert oct((runtime / "e2brun" / name).stat().st_mode)[-3:] == "600", name


def test_a_killed_service_takes_its_sandboxes_along_and_is_replaced(
    sandbox: Sandbox, runtime: Path
) -> None:
    box = sandbox("create").text.strip()
    pid = service_pid(runtime)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: service_pid(runtime) is None)
    assert sandbox("info", box).code == 1
    assert sandbox("list", "-q").out == b""
    assert sandbox("create").code == 0
    assert service_pid(runtime) not in {None, pid}


def test_a_service_that_ends_while_it_is_asked_has_no_sandboxes(
    sandbox: Sandbox, runtime: Path
) -> None:
    place = runtime / "e2brun"
    place.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as listener, (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        state = place / "service.json"
        state.write_text(json.dumps({"url": url, "key": "e2b_" + "0" * 40, "pid": 1}))

        def end() -> None:
            connection, _ = listener.accept()
            state.unlink()
            fcntl.flock(lock, fcntl.LOCK_UN)
            connection.close()
            listener.close()

        ending = threading.Thread(target=end)
        ending.start()
        ran = sandbox("list", "-q")
        ending.join()
    assert (ran.code, ran.out, ran.err) == (0, b"", "")


def test_a_runtime_directory_that_others_can_write_is_refused(
    sandbox: Sandbox, runtime: Path
) -> None:
    (runtime / "e2brun").mkdir()
    (runtime / "e2brun").chmod(0o777)
    ran = sandbox("create")
    assert (ran.code, "yours alone" in ran.err) == (125, True)


@pytest.mark.parametrize("words", [["create", "--env"], ["list", "--metadata"]])
def test_what_is_no_utf_8_is_refused_in_one_line(shared: Sandbox, words: list[str]) -> None:
    ran = shared(*words, "A=\udcff")
    assert (ran.code, ran.err.count("\n"), "no UTF-8" in ran.err) == (125, 1, True)


@pytest.mark.parametrize("words", [["kill"], ["kill", "i1", "--all"], ["list", "--state", "x"]])
def test_what_makes_no_sense_is_a_usage_error(shared: Sandbox, words: list[str]) -> None:
    assert shared(*words).code == 2


def test_no_proxy_is_asked_for_this_machine(e2brun: Run, shared_runtime: Path) -> None:
    proxy = "http://127.0.0.1:9"
    env = {"XDG_RUNTIME_DIR": str(shared_runtime), "HTTP_PROXY": proxy, "all_proxy": proxy}
    box = e2brun("sandbox", "create", env=env)
    assert box.code == 0, box.err
    assert e2brun("sandbox", "exec", box.text.strip(), "--", "echo", "a", env=env).text == "a\n"
