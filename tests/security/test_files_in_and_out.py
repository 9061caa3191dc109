"""The host follows no name that the sandbox controls, and takes home nothing but plain files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.e2b.loopback import KEY, Loopback
from tests.security.probing import Probe

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed"
)

Write = Callable[..., Path]
_LOCAL = ("exec", "--on", "local")


@pytest.mark.crossed
def test_links_lead_nowhere_but_inside(probe: Probe) -> None:
    secret = probe.directory / "in-and-out-secret"
    secret.write_text("host-secret")
    code = f"""
    import os
    os.symlink({str(secret)!r}, "link")
    os.symlink("/etc/passwd", "passwd")
    os.symlink("/proc/1/environ", "environ")
    os.symlink("/proc/self/mem", "mem")
    os.symlink("/proc/1/root{secret}", "root")
    os.symlink("link2", "link2")
    os.makedirs("d")
    os.symlink("/", "d/top")
    """
    operations = [
        ["read", "link"], ["read", "passwd"], ["read", "environ"], ["read", "mem"],
        ["read", "root"], ["read", "link2"], ["read", f"d/top/{secret}"],
        ["read", f"../../..{secret}"], ["read", str(secret)], ["write", "link"],
        ["read", "../../etc/shadow"],
    ]  # fmt: skip
    answers = probe(code, after=operations).after
    assert "host-secret" not in str(answers)
    assert answers[1]["text"].splitlines()[1].startswith("user:x:1000")
    assert answers[2].get("text", "") == ""
    assert [index for index, answer in enumerate(answers) if "text" in answer] in ([1], [1, 2])
    assert secret.read_text() == "host-secret"
    # The same names, followed by the host itself, lead to its file.
    trap = probe.directory / "trap"
    trap.unlink(missing_ok=True)
    trap.symlink_to(secret)
    assert trap.read_text() == "host-secret"


@pytest.mark.crossed
def test_only_regular_files_are_opened_and_none_holds_the_host_up(probe: Probe) -> None:
    code = """
    import os, socket
    os.mkfifo("fifo")
    socket.socket(socket.AF_UNIX).bind("socket")
    for name in ("zero", "tty", "full", "random", "ptmx", "stdin"):
        os.symlink(f"/dev/{name}", name)
    os.mkdir("directory")
    open("secret", "w").write("x")
    os.chmod("secret", 0)
    """
    names = ["fifo", "socket", "zero", "tty", "full", "random", "ptmx", "stdin", "directory"]
    operations = [[kind, name] for name in names for kind in ("read", "write")]
    report = probe(code, after=[*operations, ["read", "probe.py"]])
    assert all("refused" in answer for answer in report.after[:-1]), report.after
    assert "text" in report.after[-1]
    assert report.survivors == 0


@pytest.mark.crossed
def test_sparse_and_growing_files_end(probe: Probe) -> None:
    code = """
    import os
    with open("sparse", "wb") as file:
        file.truncate(40 << 20)
    try:
        os.truncate("sparse", 1 << 40)
    except OSError:
        pass
    if os.fork() == 0:
        os.setsid()
        with open("growing", "wb") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                file.seek(0)
                while True:
                    os.pwrite(file.fileno(), b"x", 1 << 20)
    """
    limits = {"disk": 64 << 20}
    report = probe(code, limits=limits, after=[["read", "sparse"], ["read", "growing"]])
    assert report.after[0]["size"] == 40 << 20
    assert report.after[1]["size"] <= 64 << 20
    assert report.survivors == 0


@pytest.mark.crossed
def test_names_come_back_as_they_are_and_malformed_ones_end_nothing(probe: Probe) -> None:
    code = r"""
    import os
    os.mkdir("d")
    for name in (b"a\nb", b"-rf", b"\xff\xfe", b"\x1b]0;x\x07", b"file 3 x", b" ", b"..."):
        open(b"d/" + name, "w").close()
    """
    names = [name for name, _ in probe(code, after=[["list", "d"]]).after[0]["names"]]
    assert set(names) == {
        "a\nb", "-rf", "\udcff\udcfe", "\x1b]0;x\x07", "file 3 x", " ", "...",
    }  # fmt: skip


@pytest.fixture
def cloud() -> Iterator[dict[str, str]]:
    with Loopback() as server:
        yield {"E2B_API_KEY": KEY, "E2B_API_URL": server.url, "E2B_SANDBOX_URL": server.url}


_SPARSE = """
import os
os.mkdir("d")
for number in range(10):
    with open(f"d/{number}", "wb") as file:
        file.write(b"x")
        file.truncate(12 << 20)
"""


@pytest.mark.parametrize("where", ["local", "e2b"])
def test_a_directory_of_sparse_files_is_no_more_than_the_sandbox_s_disk(
    e2brun: Run, script: Write, tmp_path: Path, where: str, cloud: dict[str, str]
) -> None:
    path = script(_SPARSE)
    options = ("exec", "--on", where, *(("--disk", "64M") if where == "local" else ()))
    bound = 64 if where == "local" else 100
    given = ("--max-get", "100M") if where == "e2b" else ()
    ran = e2brun(*options, *given, "--get", "d", path, env=cloud)
    assert ran.code == 125
    assert f"--get d: more than {bound << 20} bytes in all (--max-get)" in ran.err
    assert sum(file.stat().st_size for file in tmp_path.rglob("d/*")) <= bound << 20
    asked = e2brun(*options, "--max-get", "1G", "--get", "d:all", path, env=cloud)
    assert asked.code == 0, asked.err
    files = [file.stat() for file in (tmp_path / "all").iterdir()]
    assert sum(file.st_size for file in files) == 120 << 20
    assert sum(file.st_blocks * 512 for file in files) < 4 << 20


def test_a_fetched_directory_keeps_plain_files_only(
    e2brun: Run, script: Write, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "taken").symlink_to(victim)
    path = script("""
import os
os.makedirs("d/sub/deep")
for name in ("d/taken", "d/sub/x", "d/run"):
    open(name, "w").write("from inside")
os.chmod("d/run", 0o6777)
os.symlink("/etc/passwd", "d/link")
os.symlink("/", "d/sub/top")
os.mkfifo("d/fifo")
""")
    ran = e2brun(*_LOCAL, "--get", "d:out", path)
    assert ran.code == 0, ran.err
    assert "e2brun: left out of out: 3 links, FIFOs or devices\n" in ran.err
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*")}
    assert found == {"taken", "run", "sub", "sub/x", "sub/deep"}
    assert victim.read_text() == "untouched"
    assert not (tmp_path / "out" / "taken").is_symlink()
    mode = (tmp_path / "out" / "run").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)


def test_a_git_repository_that_is_here_keeps_its_settings(
    e2brun: Run, script: Write, tmp_path: Path
) -> None:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    (tmp_path / "project" / ".git" / "config").write_text("[core]\n")
    (tmp_path / "project" / "module").mkdir()
    (tmp_path / "project" / "module" / ".git").write_text("gitdir: ../.git/modules/module\n")
    path = script("""
import os
for place in ("d", "d/module", "d/new"):
    os.makedirs(f"{place}/.git/hooks")
    open(f"{place}/.git/config", "w").write("[core]\\nfsmonitor = touch /tmp/pwned\\n")
    open(f"{place}/result", "w").write("from inside")
""")
    ran = e2brun(*_LOCAL, "--get", "d:project", path)
    assert ran.code == 0, ran.err
    assert "e2brun: left out of project: a .git, since there is one here\n" in ran.err
    files = {str(p.relative_to(tmp_path / "project")): p for p in (tmp_path / "project").rglob("*")}
    assert files[".git/config"].read_text() == "[core]\n"
    assert files["module/.git"].read_text() == "gitdir: ../.git/modules/module\n"
    assert {"result", "module/result", "new/.git/config"} <= files.keys()
    assert ".git/hooks" not in files


def test_a_fetched_link_brings_what_it_means_inside(
    e2brun: Run, script: Write, tmp_path: Path
) -> None:
    path = script("import os; os.symlink('/etc/passwd', 'out.txt')")
    ran = e2brun(*_LOCAL, "--get", "out.txt", path)
    assert ran.code == 0, ran.err
    assert not (tmp_path / "out.txt").is_symlink()
    assert (tmp_path / "out.txt").read_bytes() != Path("/etc/passwd").read_bytes()


def test_uploads_cannot_be_led_out_by_what_lies_inside(
    e2brun: Run, script: Write, tmp_path: Path
) -> None:
    (tmp_path / "data.txt").write_text("data")
    path = script("print(open('/tmp/x/data.txt').read(), oct(os.stat('/tmp/x/data.txt').st_mode))"
                  .replace("print", "import os; print", 1))  # fmt: skip
    os.chmod(tmp_path / "data.txt", 0o4755)
    ran = e2brun(*_LOCAL, "--file", "data.txt:../../tmp/x/data.txt", path)
    assert ran.text.split() == ["data", "0o100755"], ran.err
