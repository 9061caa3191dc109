"""Nothing of the host can be read but a read-only system; nothing written is left."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.security.probing import Probe, Weak, system_python

pytestmark = pytest.mark.crossed

_SECRET = "host-secret-1d7c"
# The host's whole tree, where every path of a probe is tried a second time.
_HOST_TREE = Weak(add=("--ro-bind", "/", "/mnt"))

_READ = """
import json, os, sys
found = []
for path in json.load(open("paths.json")):
    for place in ("", "/mnt"):
        try:
            with open(place + path, "rb") as file:
                file.read(100)
            found.append(place + path)
        except OSError:
            pass
print(json.dumps(found))
"""

_WRITE = """
import json, os, tempfile
def writable(directory):
    try:
        with open(f"{directory}/e2brun-left-behind", "w") as file:
            file.write("x")
    except OSError:
        return False
    return True
found = []
for top in ("/", "/mnt", "/home/user", "/tmp", "/var/tmp", "/dev", "/dev/shm"):
    if writable(top):
        found.append(top)
for top in TOPS:
    for directory, below, _ in os.walk(top):
        if directory.count("/") == 5:
            below.clear()
        if directory not in found and writable(directory):
            found.append(directory)
print(json.dumps(sorted(path for path in found if not path.startswith("/home/user/"))))
"""
_TOPS = ("/usr", "/etc", "/opt", "/run", "/sys", "/proc", "/root", "/var", "/home", "/mnt")
_OURS_TO_WRITE = ["/dev/shm", "/home/user", "/tmp", "/var/tmp"]

_SYSCTLS = """
import json, os
found = []
for top in ("/proc/sys", "/sys", "/proc/irq", "/proc/bus", "/proc/fs"):
    for directory, _, names in os.walk(top):
        for name in names:
            try:
                os.close(os.open(f"{directory}/{name}", os.O_WRONLY))
            except OSError:
                continue
            found.append(f"{directory}/{name}")
for path in ("/proc/sysrq-trigger", "/proc/kcore", "/proc/kmsg", "/proc/kpageflags"):
    try:
        os.close(os.open(path, os.O_RDWR if "sysrq" in path else os.O_RDONLY))
        found.append(path)
    except OSError:
        continue
print(json.dumps(found))
"""

_DESCRIPTORS = """
import json, os
found = {}
for name in os.listdir("/proc/self/fd"):
    try:
        os.fstat(int(name))
        found[name] = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        continue
print(json.dumps(found))
"""

_NODES = """
import json, os, stat
made = []
for name, kind, device in (
    ("mem", stat.S_IFCHR, (1, 1)),
    ("kmsg", stat.S_IFCHR, (1, 11)),
    ("disk", stat.S_IFBLK, (254, 0)),
):
    path = f"{DIRECTORY}/node-{name}"
    try:
        os.mknod(path, kind | 0o666, os.makedev(*device))
    except OSError:
        continue
    made.append(name)
    os.unlink(path)
print(json.dumps(made))
"""

# The host's Python where everybody can write, with another file system mounted in it.
_ODD_PYTHON = """
import json, os
from e2brun.sandbox.contract import Program, SandboxSpec
from e2brun.sandbox.local.blocking.starting import start
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation import rootfs, syscalls
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Jail, new_id
from e2brun.sandbox.local.isolation.forkserver import Forkserver

rootfs.enter_namespaces()
syscalls.mount("other", f"{PLACE}/python/lib/other", "tmpfs", 0, "mode=777")
driver = Forkserver() if FORKED else Bubblewrap()
python = current_interpreter().but(prefix=f"{PLACE}/python")
sandbox = start(driver, Jail(new_id(), python), SandboxSpec(), None)
program = Program((python.executable, "-c", f"PLACE = {PLACE!r}\\n{CHANGE}"))
said = []
sandbox.run_program(program, timeout=20, stdout=said.append, stderr=said.append)
sandbox.kill()
if FORKED:
    driver.close()
print(b"".join(said).decode(), end="")
"""
_CHANGE = """
import json, os
done = []
for name in ("python/lib/ours", "python/lib/other/ours"):
    try:
        os.close(os.open(f"{PLACE}/{name}", os.O_WRONLY | os.O_CREAT))
        done.append(name)
    except OSError as error:
        assert error.errno == 30, error
for name in ("/python", ""):
    try:
        os.rename(f"{PLACE}{name}", f"{PLACE}{name}-moved")
        done.append(f"moved {name}")
    except OSError as error:
        assert error.errno in (13, 16), error
print(json.dumps(done))
"""


@pytest.fixture
def secrets(probe: Probe) -> Iterator[list[str]]:
    """Files that everybody on the host may read, where secrets usually lie."""
    home = probe.directory / "home"
    planted: list[str] = []
    for name in (".ssh/id_ed25519", ".aws/credentials", ".netrc", "work/notes.txt"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(_SECRET)
        planted.append(str(home / name))
    with ExitStack() as files:
        for place in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
            if os.access(place, os.W_OK):
                file = files.enter_context(
                    tempfile.NamedTemporaryFile("w", dir=place, prefix="e2brun-secret-")
                )
                file.write(_SECRET)
                file.flush()
                os.chmod(file.name, 0o644)
                planted.append(file.name)
        yield planted


def test_no_file_of_the_host_outside_the_system_can_be_read(
    probe: Probe, secrets: list[str]
) -> None:
    known = ["/etc/shadow", "/etc/gshadow", "/etc/machine-id", "/etc/ssh/ssh_config"]
    known += ["/proc/1/root/etc/hostname", "/proc/self/root/../etc/shadow", "/boot", "/run/utmp"]
    known += [str(Path(__file__)), str(Path.home() / ".bashrc"), str(Path.home() / ".profile")]
    files = {"paths.json": str(secrets + known).replace("'", '"')}
    inside = probe(_READ, files=files).answer
    assert set(inside) <= {"/proc/1/root/etc/hostname"}, inside
    # With the host's tree in reach, the same probe finds what was planted.
    outside = probe(_READ, files=files, weak=_HOST_TREE).answer
    assert {f"/mnt{path}" for path in secrets if not path.startswith("/tmp/")} <= set(outside)


def test_nothing_is_seen_of_what_is_installed_for_the_host_s_python(probe: Probe) -> None:
    look = """
    import json
    from e2brun.sandbox.local.interpreter import current_interpreter
    print(json.dumps(current_interpreter().site_packages))
    """
    places = probe.outside(look)
    code = f"""
    import json, os
    print(json.dumps([os.listdir(place) for place in {places} if os.path.isdir(place)]))
    """
    if not any(map(len, probe.outside(code))):
        pytest.skip("nothing is installed for this machine's Python")
    assert set(map(len, probe(code).answer)) <= {0}


def test_no_setting_of_the_kernel_can_be_opened_for_writing(probe: Probe) -> None:
    assert probe(_SYSCTLS).answer == []
    if probe.account == "root":
        assert len(probe.outside(_SYSCTLS)) > 100


def test_only_its_own_directories_can_be_written_and_nothing_is_left_of_that(probe: Probe) -> None:
    left = probe.directory / "left"
    left.mkdir(exist_ok=True)
    left.chmod(0o1777)

    def traces() -> list[Path]:
        places = [Path("/"), Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path("/dev"), left]
        return [p for place in places for p in place.glob("e2brun-left-behind")]

    assert probe(f"TOPS = {_TOPS}\n{_WRITE}").answer == _OURS_TO_WRITE
    assert traces() == []
    names = "import json, os; print(json.dumps(sum(map(os.listdir, ['/tmp', '/dev/shm']), [])))"
    assert probe(names).answer == []
    # A directory of the host, shown writable, keeps what the probe leaves behind.
    weak = Weak(add=("--tmpfs", "/run", "--bind", str(left), "/mnt"))
    code = f"TOPS = ('/run', '/mnt')\n{_WRITE}"
    assert probe(code, weak=weak).answer == sorted([*_OURS_TO_WRITE, "/mnt", "/run"])
    assert traces() == [left / "e2brun-left-behind"]
    (left / "e2brun-left-behind").unlink()


def test_no_device_node_is_there_or_can_be_made(probe: Probe) -> None:
    code = f"DIRECTORY = '/tmp'\n{_NODES}"
    assert probe(code).answer == []
    listed = probe("import json, os; print(json.dumps(sorted(os.listdir('/dev'))))").answer
    assert set(listed) <= {
        "core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
        "tty", "urandom", "zero", "console",
    }  # fmt: skip
    if probe.account == "root":
        outside = f"DIRECTORY = {str(probe.directory)!r}\n{_NODES}"
        assert probe.outside(outside) == ["mem", "kmsg", "disk"]


def test_the_host_s_devices_are_not_touched(probe: Probe) -> None:
    code = """
    import json, os
    touched = []
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        try:
            os.utime(f"/dev/{name}")
        except OSError:
            continue
        touched.append(name)
    with open("/dev/null", "w+b") as null:
        null.write(b"gone")
        assert null.read() == b""
    print(json.dumps(touched))
    """
    assert probe(code).answer == []
    assert "null" in probe.outside(code)


def test_no_descriptor_of_the_caller_is_inherited(probe: Probe) -> None:
    secret = probe.directory / "open-secret"
    secret.write_text(_SECRET)
    low = os.open(secret, os.O_RDONLY)
    high = [os.dup(low) for _ in range(300)]
    given = [low, high[-1]]
    try:
        inside = probe(_DESCRIPTORS, descriptors=given).answer
        outside = probe.outside(_DESCRIPTORS, descriptors=given)
    finally:
        for descriptor in (low, *high):
            os.close(descriptor)
    assert list(outside.values()).count(str(secret)) == 2
    assert set(inside) == {"0", "1", "2"}
    assert inside["0"] == "/dev/null"
    assert inside["1"].startswith("pipe:")


def test_the_first_process_shows_nothing_of_itself(probe: Probe) -> None:
    """Seen to fail with `_hide_memory` left out of the agent."""
    code = """
    import json, os
    seen = []
    for name in ("environ", "mem", "maps", "auxv", "stack", "syscall", "io"):
        try:
            os.close(os.open(f"/proc/1/{name}", os.O_RDONLY))
            seen.append(name)
        except OSError:
            pass
    for name in ("root", "cwd", "exe", "ns/net", "ns/pid", "ns/mnt", "ns/user"):
        try:
            os.readlink(f"/proc/1/{name}")
            seen.append(name)
        except OSError:
            pass
    for name in ("fd", "fdinfo", "map_files", "root", "cwd"):
        try:
            os.listdir(f"/proc/1/{name}")
            seen.append(name)
        except OSError:
            pass
    print(json.dumps(seen))
    """
    assert probe(code).answer == []


def test_every_mount_ignores_set_id_bits_and_the_tree_is_read_only(probe: Probe) -> None:
    code = """
    import json, os, stat
    wrong = []
    for line in open("/proc/self/mounts"):
        _, place, kind, options, *_ = line.split()
        flags = options.split(",")
        if "nosuid" not in flags:
            wrong.append([place, "suid"])
        if "nodev" not in flags and kind != "devtmpfs" and not place.startswith("/dev/"):
            wrong.append([place, "dev"])
        if "ro" not in flags and not place.startswith(("/dev/", "/proc", "/home/user", "/tmp")):
            wrong.append([place, "rw"])
    print(json.dumps(wrong))
    """
    assert probe(code).answer == [["/var/tmp", "rw"]]
    weak = Weak(add=("--tmpfs", "/run"))
    assert ["/run", "rw"] in probe(code, weak=weak).answer


def test_a_python_where_everybody_can_write_stays_what_it_is_and_where_it_is(probe: Probe) -> None:
    """No overlay can show it, and pid 1 loads from it."""
    python = system_python()  # which is in /usr all the same, so it starts
    if not python.startswith("/usr") or subprocess.call([python, "-c", "import tomllib"]):
        pytest.skip("no Python of 3.11 or later in /usr")
    probe = replace(probe, python=python)
    place = probe.directory / f"odd-{probe.account}-{probe.driver}"
    for directory in (place / "python/lib/other", place / "python/lib", place / "python", place):
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o777)
    what = {"PLACE": str(place), "FORKED": probe.driver == "forkserver", "CHANGE": _CHANGE}
    facts = "".join(f"{name} = {value!r}\n" for name, value in what.items())
    assert probe.outside(f"{facts}{_ODD_PYTHON}") == []
    assert probe.outside(f"{facts}{_CHANGE}") != []
