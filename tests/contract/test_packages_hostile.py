"""Packages made to reach the host: what they bring runs in sandboxes, and only there."""

from __future__ import annotations

import os
import signal
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from e2brun.errors import InstallFailed, SandboxUnavailable
from e2brun.sandbox.contract import MIB, Program, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Driver
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from e2brun.sandbox.local.packages import bytecode
from e2brun.sandbox.local.packages.bytecode import Receiver
from e2brun.sandbox.local.packages.layers import Layers
from e2brun.sandbox.local.packages.tree import check, measure, remove
from e2brun.sandbox.local.packages.uv_watch import Bounds
from e2brun.sandbox.local.packages.wheels import Job, install
from tests.contract.wheelhouse import wheel

_REGULAR = stat.S_IFREG | 0o644
_MEMBERS = {
    "link": ("link/it", stat.S_IFLNK | 0o777, "/etc/passwd"),
    "device": ("device/it", stat.S_IFCHR | 0o666, ""),
    "pipe": ("pipe/it", stat.S_IFIFO | 0o666, ""),
    "setuid": ("setuid/it", stat.S_IFREG | 0o6777, "x"),
    "above": ("../../../planted", _REGULAR, "x"),
    "absolute": ("{outside}/planted", _REGULAR, "x"),
    "twice": ("twice/__init__.py", _REGULAR, "VALUE = 2\n"),
    "data": ("data-1.0.data/data/../../../planted", _REGULAR, "x"),
    "scripts": ("scripts-1.0.data/scripts/../../../planted", _REGULAR, "x"),
}


def _add(archive: Path, name: str, mode: int, content: str) -> None:
    member = zipfile.ZipInfo(name)
    member.external_attr, member.create_system = mode << 16, 3
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr(member, content)


@pytest.fixture
def wheelhouse(tmp_path: Path) -> Path:
    directory = tmp_path / "wheels"
    directory.mkdir()
    return directory


@pytest.fixture(params=[Bubblewrap, Forkserver])
def backend(
    request: pytest.FixtureRequest, tmp_path: Path, environment: dict[str, str]
) -> Iterator[LocalBackend]:
    driver: Driver = request.param()
    cache = str(tmp_path / "cache")
    backend = LocalBackend(cache_directory=cache, driver=driver, environment=environment)
    yield backend
    backend.close()
    if isinstance(driver, Forkserver):
        driver.close()


def ran(backend: LocalBackend, package: str, code: str) -> str:
    output = bytearray()
    sandbox = backend.create(SandboxSpec(install=(package,), cells=False))
    sandbox.run_program(
        Program(("python3", "-c", code)), timeout=30, stdout=output.extend, stderr=output.extend
    )
    sandbox.kill()
    return output.decode()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", _MEMBERS)
def test_what_no_archive_should_hold_is_refused_or_a_plain_file_in_the_layer(
    layers: Layers, python: Interpreter, wheelhouse: Path, tmp_path: Path, kind: str
) -> None:
    name, mode, content = _MEMBERS[kind]
    archive = wheel(wheelhouse, kind, {f"{kind}/__init__.py": "VALUE = 1\n"})
    _add(archive, name.format(outside=tmp_path), mode, content)
    try:
        layer = layers.layer([kind], python)
    except InstallFailed:
        layer = None
    for path in layer.rglob("*") if layer else ():
        mode = path.lstat().st_mode
        assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), path
        assert mode & 0o7022 == 0, path
    written = list(tmp_path.rglob("planted"))
    inside = (*(tmp_path / "cache/uv").glob("archive-*/*"), layer)
    for path in written:
        assert any(place in path.parents for place in inside), path


def test_a_script_cannot_be_named_out_of_its_directory(
    layers: Layers, python: Interpreter, wheelhouse: Path, tmp_path: Path
) -> None:
    points = "[console_scripts]\n../../../../../planted = named:f\n"
    wheel(wheelhouse, "named", {"named.py": "", "named-1.0.dist-info/entry_points.txt": points})
    with pytest.raises(InstallFailed, match="invalid"):
        layers.layer(["named"], python)
    assert not list(tmp_path.rglob("planted"))


def test_a_layer_that_holds_more_than_files_is_not_taken(tmp_path: Path) -> None:
    def holding(name: str) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        return directory / "it"

    holding("link").symlink_to("/etc/passwd")
    os.mkfifo(holding("pipe"))
    for name, mode in (("setuid", 0o4755), ("everyones", 0o666)):
        path = holding(name)
        path.touch()
        path.chmod(mode)
    (holding("deep").parent / ("d/" * 120)).mkdir(parents=True)
    for name in ("link", "pipe", "setuid", "everyones", "deep"):
        with pytest.raises(InstallFailed):
            check(tmp_path / name)
    (holding("plain")).write_text("x")
    assert check(tmp_path / "plain").files == 1


def test_a_tree_deeper_than_pythons_stack_is_counted_and_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for depth in range(1101):
        os.mkdir(f"{top}{'/d' * depth}")
    assert measure(top).files == 1100
    remove(top)
    assert not top.exists()


def test_what_runs_when_python_starts_runs_in_the_sandbox_only(
    backend: LocalBackend, wheelhouse: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "it-ran"
    line = f"import os; os.environ['IT_RAN'] = '1'; os.path.isdir({str(tmp_path)!r}) and "
    line += f"open({str(trace)!r}, 'w')\n"
    wheel(wheelhouse, "starter", {"starter.pth": line, "usercustomize.py": line})
    code = "import os; print(os.environ.get('IT_RAN'))"
    assert ran(backend, "starter", code) == "1\n"
    assert not trace.exists()


_VANDAL = """
import os, victim
layer = os.path.dirname(os.path.dirname(victim.__file__))
def fails(act, *arguments):
    try:
        act(*arguments)
    except OSError:
        return
    print("could", act.__name__, arguments)
file = victim.__file__
fails(open, file, "a")
fails(open, layer + "/new.py", "w")
for act in (os.unlink, os.utime):
    fails(act, file)
fails(os.chmod, file, 0o777)
fails(os.truncate, file, 0)
fails(os.rename, file, file + ".old")
fails(os.link, file, layer + "/linked.py")
fails(os.setxattr, file, "user.x", b"1")
fails(os.mkdir, layer + "/directory")
fails(open, "/proc/self/fd/%d" % os.open(file, os.O_RDONLY), "r+")
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"", layer.encode(), None, 32 | 4096, None) == 0:
    print("could remount")
print("tried", victim.VALUE)
"""


def test_no_run_changes_a_layer(backend: LocalBackend, wheelhouse: Path, tmp_path: Path) -> None:
    wheel(wheelhouse, "victim", {"victim/__init__.py": "VALUE = 42\n"})
    assert ran(backend, "victim", "import victim; print(victim.VALUE)") == "42\n"
    (layer,) = (tmp_path / "cache/layers").glob("*/packages")
    before = {path: (path.lstat(), path.is_file() and path.read_bytes()) for path in _all(layer)}
    assert ran(backend, "victim", _VANDAL) == "tried 42\n"
    after = {path: (path.lstat(), path.is_file() and path.read_bytes()) for path in _all(layer)}
    untimed = {p: (s[0].st_mode, s[0].st_mtime_ns, s[1]) for p, s in before.items()}
    assert untimed == {p: (s[0].st_mode, s[0].st_mtime_ns, s[1]) for p, s in after.items()}


def _all(layer: Path) -> list[Path]:
    return [layer, *layer.rglob("*")]


def _bomb() -> str:
    """`finally` is compiled once for each way out: doubled with each level."""
    lines = [f"{' ' * level}try: pass\n{' ' * level}finally:\n" for level in range(19)]
    return f"{''.join(lines)}{' ' * 19}pass\n"


def test_a_file_that_overworks_the_compiler_costs_nobody_but_itself(
    layers: Layers, python: Interpreter, wheelhouse: Path
) -> None:
    files = {"heavy/doubling.py": _bomb(), "heavy/long.py": "x=1\n" * 10_000_000}
    others = {f"heavy/m{number}.py": f"VALUE = {number}\n" for number in range(20)}
    wheel(wheelhouse, "heavy", files | others, compression=zipfile.ZIP_DEFLATED)
    layer = layers.layer(["heavy"], python)
    compiled = {path.name.partition(".")[0] for path in layer.rglob("*.pyc")}
    assert compiled >= {f"m{number}" for number in range(20)}
    assert "long" not in compiled


def test_a_compiler_that_dies_over_a_file_goes_on_behind_it(tmp_path: Path) -> None:
    names = [f"m{number}.py" for number in range(12)]
    for name in names[1:]:
        (tmp_path / name).write_text("VALUE = 1\n")
    os.mkfifo(tmp_path / names[0])  # whoever reads it waits, and is to die of it
    agent = Path(bytecode.__file__).parents[1] / "agent/bytecode.py"
    with subprocess.Popen(
        [sys.executable, "-I", "-S", agent, tmp_path, str(1024 * MIB)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path,
    ) as compiler:  # fmt: skip
        assert compiler.stdin
        compiler.stdin.write("\0".join(names).encode())
        compiler.stdin.close()
        with (tmp_path / names[0]).open("wb"):  # it has opened it, and waits for us
            children = Path(f"/proc/{compiler.pid}/task/{compiler.pid}/children").read_text()
            os.kill(int(children.split()[0]), signal.SIGKILL)  # the first has the first file
            assert compiler.stdout
            said, numbers = compiler.stdout.read(), set[int]()
    while said:
        number, size = struct.unpack_from(">II", said)
        numbers.add(number)
        said = said[8 + size :]
    assert numbers == set(range(1, 12))


def test_without_a_sandbox_nothing_is_compiled(
    layers: Layers, python: Interpreter, wheelhouse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(wheelhouse, "plain", {"plain.py": "VALUE = 1\n"})
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        layers.layer(["plain"], python)
    assert layers.cached(["plain"], python) is None


def test_compiled_files_are_used_whatever_the_times_of_their_sources(
    backend: LocalBackend, wheelhouse: Path
) -> None:
    wheel(wheelhouse, "plain", {"plain.py": "VALUE = 1\n"})
    assert ran(backend, "plain", "import plain; print(plain.VALUE)") == "1\n"
    code = (
        "import sys, importlib.util as u, _imp; s = u.find_spec('plain');"
        "data = open(s.cached, 'rb').read(16); print(data[:4] == u.MAGIC_NUMBER, data[4])"
    )
    assert ran(backend, "plain", code) == "True 1\n"


def _record(number: int, content: bytes, size: int | None = None) -> bytes:
    return struct.pack(">II", number, len(content) if size is None else size) + content


@pytest.mark.parametrize(
    "lie", [_record(2, b"x"), _record(0, b"", 2**31), _record(0, bytes(2 * MIB)), b"\xff" * 64]
)
def test_a_sandbox_that_lies_about_what_it_compiled_is_not_heard_any_more(
    tmp_path: Path, lie: bytes
) -> None:
    receiver = Receiver([str(tmp_path / "a.x.pyc"), str(tmp_path / "b.x.pyc")], MIB)
    receiver.take(_record(1, b"good")[:5])
    receiver.take(_record(1, b"good")[5:])
    with pytest.raises(BrokenPipeError):
        receiver.take(lie)
    assert [path.name for path in tmp_path.rglob("*.pyc")] == ["b.x.pyc"]


def test_what_a_package_brought_compiled_is_left_as_it_is(
    layers: Layers, python: Interpreter, wheelhouse: Path
) -> None:
    version = f"{python.version[0]}{python.version[1]}"
    own = f"ready/__pycache__/__init__.cpython-{version}.pyc"
    wheel(wheelhouse, "ready", {"ready/__init__.py": "", own: "mine", "ready/x.py": ""})
    layer = layers.layer(["ready"], python)
    assert (layer / own).read_text() == "mine"
    assert list(layer.rglob("x.*.pyc"))


def test_what_a_package_brought_is_not_written_to_where_it_is_a_link_to_uv_s(
    layers: Layers, python: Interpreter, wheelhouse: Path, tmp_path: Path
) -> None:
    wheel(wheelhouse, "named", {"named.py": "", "e2brun-cells.pth": "mine"})
    layer = layers.layer(["named"], python)
    assert (layer / "e2brun-cells.pth").read_text() != "mine"
    (uvs,) = (tmp_path / "cache/uv").rglob("e2brun-cells.pth")
    assert uvs.read_text() == "mine"


def test_nothing_compiled_is_written_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.x.pyc").write_text("mine")
    Receiver([str(tmp_path / "a.x.pyc")], MIB).take(_record(0, b"other"))
    assert (tmp_path / "a.x.pyc").read_text() == "mine"


_TELLING_PYTHON = """#!/bin/sh
pwd > "{trace}"
exec "{python}" "$@"
"""


def test_uv_works_in_a_place_of_its_own(
    environment: dict[str, str], wheelhouse: Path, tmp_path: Path
) -> None:
    """What lies beside the user may be as untrusted as the code that is to run."""
    wheel(wheelhouse, "plain", {"plain.py": ""})
    python, trace = tmp_path / "python", tmp_path / "trace"
    python.write_text(_TELLING_PYTHON.format(trace=trace, python=sys.executable))
    python.chmod(0o755)
    target, cache = tmp_path / "building/layer", tmp_path / "cache"
    for directory in (target, cache):
        directory.mkdir(parents=True)
    with trace.open("w") as lock:
        place = (target, cache, environment, lock.fileno())
        install(Job(("plain",), str(python), *place, monotonic() + 60, Bounds(MIB)))
    assert trace.read_text() == f"{target.parent}\n"
