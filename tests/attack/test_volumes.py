"""What a hostile sandbox puts into a volume leads nobody out, holds nobody up, fills no disk."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from socket import create_connection
from urllib.parse import quote

import pytest

from e2brun.sandbox.local.isolation.rootfs import OWNER_OF_MOUNTS
from tests.attack.test_inside import _write
from tests.attack.wire import Answer, Sandbox, Wire
from tests.sdk.serving import Serving, descendants, served

_SECRET = "of the host, and of nobody inside"
_MIB = 1024 * 1024


class _Volume:
    """One volume, and a sandbox that has it at /mnt/v."""

    def __init__(self, wire: Wire) -> None:
        made = wire.api("POST", "/volumes", {"name": f"v{time.time_ns()}"}).json()
        self.wire, self.id, self.name, self.token = (
            wire,
            *map(made.get, ("volumeID", "name", "token")),
        )
        self.sandbox = wire.create(volumeMounts=[{"name": self.name, "path": "/mnt/v"}])

    def ask(
        self,
        method: str,
        what: str,
        path: str,
        body: bytes | None = None,
        encoding: str = "identity",
        **query: str,
    ) -> Answer:
        more = "".join(f"&{name}={value}" for name, value in query.items())
        target = f"/volumecontent/{self.id}/{what}?path={quote(path)}{more}"
        headers = {"Authorization": f"Bearer {self.token}", "Content-Encoding": encoding}
        return self.wire.ask(method, target, body, headers)

    def run(self, line: str) -> str:
        return self.wire.run(self.sandbox, line).decode(errors="replace")

    def close(self) -> None:
        self.wire.kill(self.sandbox)
        assert self.wire.api("DELETE", f"/volumes/{self.id}").status == 204


@pytest.fixture
def volume(wire: Wire) -> Iterator[_Volume]:
    made = _Volume(wire)
    yield made
    made.close()


def test_what_is_refused_replaces_nothing(volume: _Volume) -> None:
    volume.ask("PUT", "file", "kept", b"kept")
    assert volume.ask("PUT", "file", "kept", b"no gzip", "gzip", force="true").status == 400
    assert volume.ask("GET", "file", "kept").body == b"kept"


def test_names_and_links_do_not_lead_out(volume: _Volume, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(_SECRET)
    volume.run(
        f"cd /mnt/v; ln -s {secret} file; ln -s {tmp_path} dir; ln -s .. up; ln -s / root; "
        "ln -s /proc/self/root proc; ln -s loop loop; mkdir -p a/b; ln -s ../../.. a/b/up"
    )
    ups = "../" * 20
    paths = [
        "file", "dir/secret", f"up/{secret}", f"root/{secret}", f"proc/{secret}", "loop",
        f"a/b/up/{ups}{secret}", f"{ups}{secret}", f"/{ups}proc/self/environ", "root/etc/passwd",
        f"root/proc/1/root{secret}",
    ]  # fmt: skip
    for path in paths:
        answer = volume.ask("GET", "file", path)
        assert answer.status == 404, path
        assert _SECRET.encode() not in answer.body
        assert volume.ask("PUT", "file", path, b"overwritten", force="true").status != 200
        volume.ask("DELETE", "path", path)
    for path in ("dir", "root/tmp", "proc/1", "proc/self/fd"):
        assert volume.ask("GET", "dir", path).status == 404, path
        volume.ask("POST", "dir", f"{path}/made", force="true")
    assert secret.read_text() == _SECRET
    assert [one.name for one in tmp_path.iterdir()] == ["secret"]
    names = {one["path"] for one in volume.ask("GET", "dir", "/root", depth="1").json()}
    assert "/root/usr" not in names


def test_what_is_no_file_holds_nobody_up(volume: _Volume) -> None:
    volume.run(
        "cd /mnt/v; mkfifo fifo; python3 -c 'import socket; "
        'socket.socket(socket.AF_UNIX).bind("/mnt/v/socket")\'; truncate -s 50M sparse; '
        "mkdir -m 0 closed; echo x > mode; chmod 0 mode; printf x > $'new\\nline'; "
        "printf x > $'\\xff\\xfe'; python3 -c 'import os; "
        'os.setxattr("/mnt/v/sparse", "user.e2brun.owner", b"9" * 900 + b":x")\''
    )
    began = time.monotonic()
    for path in ("fifo", "socket"):
        assert volume.ask("GET", "file", path).status in (400, 404)
        assert volume.ask("PUT", "file", path, b"x", force="true").status >= 400
    assert volume.ask("GET", "file", "mode").body == b"x\n"
    assert volume.ask("GET", "dir", "closed").json() == []
    kinds = {one["name"]: one["type"] for one in volume.ask("GET", "dir", "/").json()}
    assert (kinds["fifo"], kinds["socket"]) == ("unknown", "unknown")
    assert "new\nline" in kinds
    assert len(volume.ask("GET", "file", "sparse").body) == 50 * _MIB
    assert volume.ask("GET", "path", "sparse").json()["uid"] == 1000
    assert time.monotonic() - began < 30
    assert volume.wire.is_healthy(volume.sandbox)


def test_only_its_own_token_opens_a_volume(volume: _Volume, victim: Sandbox) -> None:
    wire = volume.wire
    other = wire.api("POST", "/volumes", {"name": f"o{time.time_ns()}"}).json()
    target = f"/volumecontent/{volume.id}/dir?path=/"
    for headers in (
        {},
        {"X-API-KEY": wire.key},
        {"Authorization": f"Bearer {wire.key}"},
        {"Authorization": f"Bearer {other['token']}"},
        {"Authorization": f"Bearer {victim.token}"},
        {"Authorization": "Bearer "},
    ):
        assert wire.ask("GET", target, None, headers).status == 401
    token = {"Authorization": f"Bearer {volume.token}"}
    assert wire.ask("GET", "/v2/sandboxes", None, token).status == 401
    for name in ("..", ".", "%2e%2e", f"..%2f{volume.id}", "a/../b", f"{other['volumeID']}/.."):
        answer = wire.ask("GET", f"/volumecontent/{name}/dir?path=/", None, token)
        assert answer.status in (400, 401, 404)
    for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        assert wire.ask("GET", target, None, {**token, **header}).status in (400, 403, 421)
    assert wire.api("DELETE", f"/volumes/{other['volumeID']}").status == 204


def test_a_volume_gives_its_sandbox_nothing_else(volume: _Volume, victim: Sandbox) -> None:
    mounts = volume.run("grep ' /mnt/v ' /proc/mounts | tail -n 1")
    assert "nosuid" in mounts
    assert "nodev" in mounts
    assert "noexec" not in mounts  # programs may be kept there
    said = volume.run(
        "cd /mnt/v; umount .; mount -o remount,suid .; mknod n c 1 3; mv /mnt/v /mnt/w; "
        "rmdir /mnt/v; cp /bin/true t; chmod 6755 t; ./t && echo ran; ls /mnt"
    )
    assert said.splitlines() == ["ran", "v"]
    assert volume.ask("GET", "path", "n").status == 404
    assert volume.wire.run(victim, "ls -A /mnt").decode().strip() == ""
    probe = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); "
        "print([(libc.syscall(n, -1, b'v', 1), ctypes.get_errno())[1] for n in (428, 429, 442)])"
    )
    assert volume.run(f'python3 -c "{probe}"') == f"{[errno.ENOSYS] * 3}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees what others' processes have")
def test_who_works_on_a_volume_s_files_has_next_to_nothing(
    volume: _Volume, service: Serving
) -> None:
    assert volume.ask("GET", "dir", "/").status == 200
    found: list[tuple[int, dict[str, str]]] = []
    for pid in descendants(service.pid):
        text = Path(f"/proc/{pid}/status").read_text()
        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        # A sandbox's own processes have none.
        if str(OWNER_OF_MOUNTS) in status["Uid"] and int(status["CapEff"], 16):
            found.append((pid, status))
    assert found
    for pid, status in found:
        assert {int(status[f"Cap{name}"], 16) for name in ("Eff", "Prm", "Bnd")} == {0b1110}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        places = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        kinds = [place.partition(":")[0] for place in places]
        assert {*kinds} <= {"socket", "/dev/null", "pipe", "anon_inode"}
        assert kinds.count("socket") == 1, kinds


def test_those_who_write_to_a_volume_at_once_have_no_more_than_one(tmp_path: Path) -> None:
    with (
        served(tmp_path, "--volume-size", "64M", "--template", "base") as serving,
        ExitStack() as us,
    ):
        volume = _Volume(Wire(serving.url, serving.key))
        volume.wire.kill(volume.sandbox)  # or the service looks every 2 seconds
        writers = [us.enter_context(create_connection(volume.wire.address)) for _ in range(3)]
        for number, writer in enumerate(writers):
            target = f"/volumecontent/{volume.id}/file?path=f{number}"
            head = f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {40 * _MIB}\r\n"
            writer.sendall(f"{head}Authorization: Bearer {volume.token}\r\n\r\n".encode())
            writer.sendall(bytes(39 * _MIB))
        assert sum(one["size"] for one in volume.ask("GET", "dir", "/").json()) < 64 * _MIB
        for writer in writers:
            writer.sendall(bytes(_MIB))
        assert [writer.recv(12)[-3:] for writer in writers] == [b"201", b"507", b"507"]


_HOARDS = {
    "bytes": "i=0; while true; do head -c 8M /dev/zero > /mnt/v/$i; i=$((i+1)); done",
    "one file": "dd if=/dev/zero of=/mnt/v/f bs=1M count=2000; sleep 300",
    "levels": "cd /mnt/v; python3 -c 'import os; "
    "[os.mkdir(str(1)) or os.chdir(str(1)) for _ in range(1200)]'; sleep 300",
}
_MANY_FILES = "mkdir /mnt/v/d; cd /mnt/v/d; seq 100500 | xargs touch; sleep 300"


@pytest.mark.parametrize(
    "hoards",
    [_HOARDS, pytest.param({"many files": _MANY_FILES}, marks=pytest.mark.in_turn(day=1))],
    ids=["bytes and levels", "files"],
)
def test_who_fills_a_volume_ends_and_nobody_else(tmp_path: Path, hoards: dict[str, str]) -> None:
    options = ("--volume-size", "64M", "--template", "base", "--disk", "64M")
    with served(tmp_path, *options) as serving:
        wire = Wire(serving.url, serving.key)
        neighbour = wire.create()
        for how, line in hoards.items():
            volume = _Volume(wire)
            volume.ask("PUT", "file", "kept", b"kept")
            _write(wire, volume.sandbox, "/tmp/fill.sh", line)
            volume.run("nohup bash /tmp/fill.sh > /dev/null 2>&1 &")
            end = time.monotonic() + 60
            while wire.api("GET", f"/sandboxes/{volume.sandbox.id}").status == 200:
                assert time.monotonic() < end, how
                time.sleep(0.05)
            logs = wire.api("GET", f"/sandboxes/{volume.sandbox.id}/logs").body.decode()
            assert "out of disk" in logs, how
            assert volume.ask("GET", "file", "kept").body == b"kept"
            mounts = [{"name": volume.name, "path": "/mnt/v"}]
            again = wire.api(
                "POST", "/v2/sandboxes", {"templateID": "base", "volumeMounts": mounts}
            )
            assert again.status == 400, how
            assert volume.ask("PUT", "file", "more", b"x" * 64 * _MIB).status == 507
            assert volume.ask("PUT", "file", "kept", b"more", force="true").status == 507
            assert volume.ask("GET", "file", "kept").body == b"kept"
            for one in volume.ask("GET", "dir", "/").json():
                assert volume.ask("DELETE", "path", one["path"]).status == 204
            volume.sandbox = wire.create(volumeMounts=mounts)
            assert volume.ask("PUT", "file", "more", b"x" * 65 * _MIB).status == 507
            assert volume.ask("GET", "path", "more").status == 404
            volume.close()
        assert wire.is_healthy(neighbour)
