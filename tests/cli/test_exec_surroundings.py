"""Where `e2brun` is started: odd environments, locales, directories and users."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import COMMAND, Run, clean_environment

Script = Callable[..., Path]

_NOBODY = "65534"


def test_an_empty_environment_is_enough(installed: Path, script: Script, tmp_path: Path) -> None:
    file, store = script("print('é')"), tmp_path / "runs.db"
    for command in ([installed], [*COMMAND]):
        ended = subprocess.run(
            [*command, "exec", "--on", "local", "--store", store, file],
            capture_output=True,
            env={} if command == [installed] else {"PATH": os.environ["PATH"]},
            cwd="/",
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, "é\n".encode()), ended.stderr


@pytest.mark.parametrize("home", [None, "relative"])
def test_a_home_is_not_needed(script: Script, home: str | None) -> None:
    environment = clean_environment()
    environment.pop("HOME", None)
    environment |= {} if home is None else {"HOME": home}
    ended = subprocess.run(
        [*COMMAND, "exec", "--on", "local", script("print('ran')")],
        capture_output=True,
        env=environment,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"ran\n")


@pytest.mark.parametrize(
    ("locale", "more"),
    [("C", {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}), ("xx_XX.nothing", {})],
)
def test_no_locale_is_needed(
    e2brun: Run, local: Run, script: Script, locale: str, more: dict[str, str]
) -> None:
    environment = {"LC_ALL": locale, **more}
    script("import sys; print(sys.argv[1], 'ü')", "prög.py")
    ran = local("prög.py", "é", env=environment)
    assert (ran.code, ran.text) == (0, "é ü\n")
    assert ran.err.startswith("ok ")
    assert local("-c", "'é'", env=environment).text == "é\n"
    missing = local("nöpe.py", env=environment)
    assert missing.code == 2
    assert "No such file or directory" in missing.err
    assert "Traceback" not in missing.err
    many = e2brun("batch", "--on", "local", "prög.py", env=environment)
    assert " 1 failed " in many.err
    assert "\\x" not in many.err.rpartition(" 1 failed ")[2]


def test_modules_lying_in_the_directory_are_not_imported(installed: Path, tmp_path: Path) -> None:
    for name in ("typing", "sitecustomize", "usercustomize", "random", "json", "rich", "main"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported ' + __name__)")
    (tmp_path / "e2brun").mkdir()
    (tmp_path / "e2brun/__init__.py").write_text("raise SystemExit('imported ' + __name__)")
    (tmp_path / "ok.py").write_text("print('ran')")
    for words in (["ok.py"], ["--json", "-c", "print('ran')"], ["--timeout", "9", "ok.py"]):
        ended = subprocess.run(
            [installed, "exec", "--on", "local", *words],
            capture_output=True,
            cwd=tmp_path,
            env=clean_environment(),
            check=False,
        )
        assert (ended.returncode, b"ran\\n" in ended.stdout or ended.stdout == b"ran\n") == (
            0,
            True,
        )
        assert b"imported" not in ended.stderr


def test_a_deleted_directory_is_said_in_one_line(tmp_path: Path) -> None:
    def run(words: str) -> subprocess.CompletedProcess[bytes]:
        gone, checkout = tmp_path / "gone", Path(__file__).parents[2]
        gone.mkdir()
        line = f"cd {gone} && rmdir {gone} && PYTHONPATH={checkout} {' '.join(COMMAND)} {words}"
        return subprocess.run(
            ["bash", "-c", line], capture_output=True, env=clean_environment(), check=False
        )

    ended = run("exec --on local -c 1")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.splitlines() == [
        b"e2brun: the working directory: No such file or directory",
        b"  It was deleted: cd to another.",
    ]
    assert run("--version").returncode == 0
    document = json.loads(run("exec --json -c 1").stdout)
    assert document["error"]["name"] == "UsageError"


def as_nobody(*words: str | Path, cwd: str | Path = "/") -> subprocess.CompletedProcess[bytes]:
    """Run e2brun as an ordinary user, or skip where that cannot be."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become another user, with setpriv")
    user = ("setpriv", "--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}

    def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*user, *command], env=environment, cwd=cwd, capture_output=True, check=False
        )

    if run(sys.executable, "-c", "import e2brun.settings").returncode != 0:
        pytest.skip("this Python or this checkout cannot be read by an ordinary user")
    return run(*COMMAND, "exec", "--on", "local", *words)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can enter and nobody else can write to."""
    path = Path(tempfile.mkdtemp(prefix="e2brun-test-"))
    path.chmod(0o755)
    (path / "ok.py").write_text("open('out', 'w').write('1'); print('ran')")
    yield path
    subprocess.run(["chmod", "-R", "u+rwx", path], check=True)  # else only root can remove it
    shutil.rmtree(path)


def test_an_ordinary_user_can_run_code(public: Path) -> None:
    ended = as_nobody(public / "ok.py")
    assert (ended.returncode, ended.stdout) == (0, b"ran\n"), ended.stderr


def test_a_file_that_cannot_be_read_is_one_line(public: Path) -> None:
    (public / "ok.py").chmod(0o600)
    ended = as_nobody(public / "ok.py")
    assert ended.returncode == 2
    assert ended.stderr.decode() == f"e2brun: {public}/ok.py: Permission denied\n"


def test_files_to_send_that_cannot_be_read_are_one_line(public: Path) -> None:
    (public / "secret").write_text("x")
    (public / "secret").chmod(0)
    (public / "closed").mkdir(mode=0o700)
    (public / "folder/closed").mkdir(parents=True, mode=0o755)
    (public / "folder/closed").chmod(0)
    for name in ("secret", "closed", "closed/x:y", "folder"):
        ended = as_nobody("--file", public / name, "-c", "1", cwd=public)
        assert (ended.returncode, ended.stdout) == (2, b"")
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert str(public).encode() in ended.stderr


def test_a_directory_that_cannot_be_written_is_told_after_the_run(public: Path) -> None:
    ended = as_nobody("--get", "out", "ok.py", cwd=public)
    assert (ended.returncode, ended.stdout) == (125, b"ran\n")
    lines = ended.stderr.decode().splitlines()
    assert len(lines) == 2, lines
    first, last = lines
    assert first == "e2brun: --get out: out: Permission denied"
    assert last.startswith("ok, but see above (exit code 125) · ")


def test_results_that_cannot_be_saved_are_told_after_the_run(local: Run) -> None:
    ran = local("--json", "--on-result", "/proc/new", "-c", "print('ran')")
    assert ran.code == 125
    document = json.loads(ran.out)
    assert (document["outcome"], document["success"], document["stdout"]) == ("ok", False, "ran\n")
