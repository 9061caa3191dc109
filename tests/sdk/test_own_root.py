"""A program written for E2B finds the file tree that it expects, and can write to it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from e2b import FilesystemEventType, Sandbox, Template

from tests.sdk.serving import Serving

PLACES = ("/opt", "/var", "/var/lib", "/var/log", "/var/cache", "/etc", "/mnt", "/media", "/srv")
_CHANGES = """
set -e
echo '127.0.0.1 my.host' | sudo tee -a /etc/hosts
echo 'export FROM_BASHRC=yes' >> ~/.bashrc
echo 'export FROM_PROFILE=yes' | sudo tee /etc/profile.d/mine.sh
sudo mkdir -p /home/other /opt/app /var/www/html
echo kept > /opt/app/file
rm -f ~/.bash_logout /etc/services
rm -r /var/spool; ln -s /tmp /var/spool
cp -p /etc/shells /etc/shells.bak
"""
_KEPT = """
getent hosts my.host | cut -c1-9; getent hosts $(hostname) | cut -c1-9
[ $(cat /etc/hostname) = $(hostname) ] && echo named
tail -1 ~/.bashrc; echo $FROM_PROFILE; cat /opt/app/file; readlink /var/spool
ls -d /home/other ~/.bash_logout /etc/services 2>&1 | wc -l; cmp /etc/shells /etc/shells.bak
"""
_EXPECTED = """127.0.0.1
127.0.0.1
named
export FROM_BASHRC=yes
yes
kept
/tmp
3
"""


def _run(sandbox: Any, line: str, **more: Any) -> str:
    said: str = sandbox.commands.run(line, **more).stdout
    return said


def test_root_writes_to_the_directories_of_the_system(sandbox: Any) -> None:
    for user, places in (("root", PLACES), ("user", ("/opt", "/etc"))):
        for place in places:
            sandbox.files.write(f"{place}/a/{user}.txt", "text", user=user)
            assert _run(sandbox, f"cat {place}/a/{user}.txt; sudo rm -r {place}/a") == "text"
            sandbox.files.make_dir(f"{place}/made", user=user)
            sandbox.files.rename(f"{place}/made", f"/srv/{user}")
            sandbox.files.remove(f"/srv/{user}")
    assert {"hosts", "passwd", "os-release"} <= {one.name for one in sandbox.files.list("/etc")}


@pytest.mark.skipif(not shutil.which("apt-get"), reason="not a Debian")
def test_apt_installs_what_is_there_and_nothing_else(sandbox: Any) -> None:
    for apt in ("apt-get", "apt"):
        install = f"sudo {apt} -o Dpkg::Use-Pty=0 install -y"
        done = f"sudo {apt} update && {install} apt sudo dpkg:amd64 bash=5* && sudo {apt} clean"
        said = _run(sandbox, done)
        assert "bash=5* is already the newest version that is here.\n0 upgraded, 0 newly" in said
        assert _run(sandbox, f"{install} -qq bash") == ""
        others = ("apt no-such-package", "./bash", "../doc/bash", "-y ''")
        for refused in ("no-such-package", *(others if apt == "apt" else ())):
            said = _run(sandbox, f"{install} {refused} 2>&1; echo $?")
            assert "E: Unable to locate package " in said
            assert said.endswith("\n100\n")
        assert _run(sandbox, f"{apt} install -y bash 2>&1 || echo $?").endswith("you root?\n100\n")
        assert _run(sandbox, f"{apt} --version").startswith("apt ")
    Template.build(Template().from_debian_image().apt_install(["bash", "dpkg"]), "has-apt")


def test_the_system_says_what_it_is(sandbox: Any) -> None:
    if not Path("/etc/os-release").exists():
        pytest.skip("this machine's does not, either")
    told = _run(sandbox, "cat /etc/os-release")
    assert told == Path("/etc/os-release").read_text()
    asked = "import platform; print(platform.freedesktop_os_release()['ID'])"
    assert _run(sandbox, f'python3 -c "{asked}"').strip() in told


def test_the_homes_have_what_a_login_leaves_in_them(sandbox: Any) -> None:
    for user, home in (("user", "/home/user"), ("root", "/root")):
        assert _run(sandbox, "ls -a ~/.bashrc ~/.profile ~/.bash_logout", user=user).split() == [
            f"{home}/.bash_logout", f"{home}/.bashrc", f"{home}/.profile",
        ]  # fmt: skip
        assert _run(sandbox, "source ~/.bashrc && source /etc/profile && echo on", user=user)
    path = _run(sandbox, "echo $PATH").strip()
    assert path.startswith("/home/user/.local/bin:")
    assert path.endswith(":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_settings_of_the_system_are_kept_there(sandbox: Any) -> None:
    assert _run(sandbox, "sudo git config --system user.name me; git config user.name") == "me\n"


def test_a_directory_of_the_system_is_watched(sandbox: Any) -> None:
    sandbox.files.make_dir("/var/spool/in")
    watch = sandbox.files.watch_dir("/var/spool/in")
    sandbox.files.write("/var/spool/in/file", "1")
    seen: set[FilesystemEventType] = set()
    deadline = time.monotonic() + 20
    while FilesystemEventType.WRITE not in seen and time.monotonic() < deadline:
        seen |= {event.type for event in watch.get_new_events()}
    watch.stop()
    assert FilesystemEventType.CREATE in seen


def test_snapshots_pauses_and_templates_keep_what_was_written_there(
    service: Serving, sandbox: Any, tmp_path: Path
) -> None:
    _run(sandbox, _CHANGES)
    snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id) as other:
        assert _run(other, _KEPT) == _EXPECTED
    (tmp_path / "page").write_text("kept")
    template = (
        Template(file_context_path=tmp_path)
        .from_template("base")
        .set_workdir("/opt/app")
        .copy("page", "/var/www/html/")
        .run_cmd("mkdir -p /etc/mine && pwd > /etc/mine/where", user="root")
    )
    Template.build(template, "own-root")
    with Sandbox.create("own-root") as other:
        assert (
            _run(other, "pwd; cat /etc/mine/where /var/www/html/page") == "/opt/app\n" * 2 + "kept"
        )
        # What is each sandbox's own is not the template's.
        assert _run(other, "getent hosts $(hostname) | cut -c1-9; cat /etc/pip.conf | wc -l") == (
            "127.0.0.1\n5\n"
        )
