"""The facts about an interpreter's base installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e2brun.errors import SandboxUnavailable, UsageError
from e2brun.sandbox.local import pythons as module
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.pythons import find_interpreter

_DEBIAN = Path("/usr/lib/python3/dist-packages")


def test_the_current_interpreter_is_a_base_installation() -> None:
    found = current_interpreter()
    assert found.version == sys.version_info[:3]
    assert found.prefix == os.path.realpath(sys.base_prefix)
    assert found.executable == os.path.realpath(found.executable)
    assert sys.implementation.cache_tag in found.abi


def test_the_base_interpreter_itself_agrees_with_what_was_found() -> None:
    found = current_interpreter()
    question = "import sys; print(sys.prefix); print(*sys.path, sep='\\n')"
    said = subprocess.run(
        [found.executable, "-I", "-c", question], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert os.path.realpath(said[0]) == found.prefix
    packages = [path for path in said[1:] if path.endswith("-packages")]
    assert found.purelib == (os.path.realpath(packages[0]) if packages else None)
    assert {os.path.realpath(path) for path in packages} <= set(found.site_packages)


def test_it_is_found_without_a_process_and_with_next_to_no_imports() -> None:
    code = (
        "import sys, dataclasses, site\n"
        "sys.addaudithook(lambda event, _: event in"
        " {'subprocess.Popen', 'os.posix_spawn', 'os.fork', 'os.exec'} and sys.exit(event))\n"
        "before = set(sys.modules)\n"
        "from e2brun.sandbox.local.interpreter import current_interpreter\n"
        "current_interpreter()\n"
        "print(*sorted(name for name in set(sys.modules) - before if 'e2brun' not in name))\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(loaded) <= {"__future__"}


def test_a_path_into_a_virtual_environment_names_its_base(tmp_path: Path) -> None:
    base = current_interpreter()
    create = [base.executable, "-m", "venv", "--without-pip"]
    for name, options in {"linked": ["--symlinks"], "copied": ["--copies"]}.items():
        subprocess.run([*create, *options, str(tmp_path / name)], check=True)
        found = find_interpreter(str(tmp_path / name / "bin" / "python"))
        assert found == base
        assert find_interpreter(str(tmp_path / name)) == base


@pytest.mark.parametrize("form", ["{}.{}", "python{}.{}", "{}.{}.{}", "{}"])
def test_the_running_version_by_name_is_the_running_interpreter(form: str) -> None:
    assert find_interpreter(form.format(*sys.version_info[:3])) == current_interpreter()


@pytest.mark.parametrize("minor", range(8, 15))
def test_another_version_is_found_by_its_number(minor: int) -> None:
    try:
        found = find_interpreter(f"3.{minor}")
    except UsageError as error:
        pytest.skip(str(error))
    assert found.version[:2] == (3, minor)
    assert os.access(found.executable, os.X_OK)
    assert found.abi.startswith(f"cpython-3{minor}")
    assert all(Path(path).is_dir() for path in found.site_packages)
    assert found.purelib is None or found.purelib in found.site_packages


@pytest.mark.skipif(not _DEBIAN.is_dir(), reason="not Debian's Python")
def test_debians_python_has_its_dist_packages_masked() -> None:
    found = find_interpreter("/usr/bin/python3")
    assert found.prefix == "/usr"
    assert str(_DEBIAN) in found.site_packages
    assert found.purelib is not None
    assert found.purelib.endswith("/dist-packages")


def test_a_version_that_pyenv_has_not_chosen_is_found_behind_its_shim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minor = sys.version_info.minor + 1
    for place, text in {
        "shims": "#!/bin/sh\nexit 127\n",
        f"versions/3.{minor}.2/bin": "",
        f"versions/3.{minor}.10/bin": "",
    }.items():
        script = tmp_path / place / f"python3.{minor}"
        script.parent.mkdir(parents=True)
        script.write_text(text)
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "shims"), prepend=os.pathsep)
    located = module._locate(f"3.{minor}", (3, minor))  # pyright: ignore[reportPrivateUsage]
    assert located == str(tmp_path / f"versions/3.{minor}.10/bin/python3.{minor}")


def test_what_is_no_python_is_an_error_in_one_line(tmp_path: Path) -> None:
    unreadable = tmp_path / "python"
    unreadable.write_text("")
    for name, message in {
        "": "not the name or path",
        "-c": "not the name or path",
        str(tmp_path / "nothing"): "no such Python",
        str(unreadable): "Permission denied",
        "/bin/ls": "does not answer",
        "3.99": "no Python 3.99 was found",
        "no-such-python": "no Python no-such-python was found",
    }.items():
        with pytest.raises(UsageError, match=message) as caught:
            find_interpreter(name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ('["PyPy", [3, 10, 1], ["/p", "/p"], "/p", [], ".pypy310.so"]', UsageError,
         r"is PyPy 3\.10\.1; CPython 3\.8 or newer"),
        ('["CPython", [3, 7, 16], ["/p", "/p"], "/p", [], ".cpython-37m.so"]', UsageError,
         r"is CPython 3\.7\.16; CPython 3\.8 or newer"),
        ('["CPython", [3, 12, 1], ["/p"], "HERE", [], ".cpython-312.so"]', SandboxUnavailable,
         "has no interpreter any more"),
    ],
    ids=["another kind", "too old", "removed"],
)  # fmt: skip
def test_an_interpreter_that_cannot_be_used_is_named(
    tmp_path: Path, answer: str, error: type[Exception], message: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho '{answer.replace('HERE', str(tmp_path))}'\n")
    python.chmod(0o755)
    with pytest.raises(error, match=message):
        find_interpreter(str(python))


def test_a_command_found_on_the_path_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-python").symlink_to(current_interpreter().executable)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert shutil.which("my-python")
    assert find_interpreter("my-python") == current_interpreter()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="its sysconfig has a lock of its own")
def test_uv_is_found_by_many_threads_at_once() -> None:
    """sysconfig before Python 3.12 shows others what it has read so far."""
    code = """if True:
        import sys, sysconfig, threading
        from e2brun.sandbox.local.pythons import find_uv
        sys.setswitchinterval(1e-6)
        for _ in range(30):
            sysconfig._CONFIG_VARS = None
            together = threading.Barrier(8)
            threads = [
                threading.Thread(target=lambda: (together.wait(), find_uv())) for _ in range(8)
            ]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert ended.stderr == b""
