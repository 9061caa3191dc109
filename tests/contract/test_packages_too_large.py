"""Packages that want more of this machine than a layer may have: wheels made here, the real uv."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from e2brun.errors import InstallFailed
from e2brun.sandbox.contract import MIB, Room
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.packages.layers import Layers
from tests.contract.wheelhouse import Registry, disk_usage, wheel

# A layer of 32 MiB: 16 of an archive, 8 to download, 781 files.
_SMALL = Room(32 * MIB)
_META = "Metadata-Version: 2.1\nName: {0}\nVersion: 1.0\n"


@pytest.fixture(scope="module")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheels")
    deflate = zipfile.ZIP_DEFLATED
    nothing = bytes(MIB)
    wheel(directory, "onefile", {"onefile.bin": bytes(24 * MIB)}, compression=deflate)
    pieces = {f"pieces/{number}.bin": nothing for number in range(40)}
    wheel(directory, "pieces", pieces, compression=deflate)
    wheel(directory, "tinyfiles", {f"tinyfiles/{number}": b"" for number in range(30_000)})
    for name in ("one", "two", "three"):
        wheel(directory, name, {f"{name}.bin": bytes(15 * MIB)}, compression=deflate)
    wheel(directory, "nested", {"inner.zip": _quine_like()}, compression=deflate)
    liar = wheel(directory, "liar", {"liar.bin": bytes(24 * MIB)}, compression=deflate)
    _lie(liar, size=10, method=deflate)
    wheel(directory, "noise", {"noise.bin": os.urandom(12 * MIB)})
    return directory


def _quine_like() -> bytes:
    """An archive in an archive in an archive, with a quarter of a gigabyte at its heart."""
    import io

    content = b""
    for level in range(3):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number in range(4):
                archive.writestr(f"{level}-{number}.zip", content or bytes(16 * MIB))
        content = buffer.getvalue()
    return content


def _lie(archive: Path, *, size: int, method: int) -> None:
    """Say, wherever it is said, that the first member is packed so and unpacks to that size."""
    data = bytearray(archive.read_bytes())
    central = data.index(b"PK\x01\x02")
    for header in (0, central + 2):  # the directory's has a word more
        struct.pack_into("<H", data, header + 8, method)
        struct.pack_into("<I", data, header + 22, size)
    archive.write_bytes(data)


def _deflated(text: bytes, mebibytes: int) -> bytes:
    """It, and so much of nothing: packed once, for it takes seconds."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)
    nothing = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + nothing * mebibytes + packer.flush()


@pytest.fixture
def layers(tmp_path: Path, environment: dict[str, str]) -> Layers:
    return Layers(tmp_path / "cache", environment, timeout=60, room=_SMALL)


@pytest.mark.parametrize(
    ("requirements", "message"),
    [
        (["onefile"], "more than (16|32) MiB"),  # two looks may be as far apart
        (["pieces"], "more than (16|32) MiB"),
        (["tinyfiles"], "an archive holds more than 781 files"),
        (["one", "two", "three"], "more than 32 MiB"),
        (["liar"], "(size|extract|archive)"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_what_is_too_large_is_given_up_while_it_is_unpacked_and_removed(
    layers: Layers, tmp_path: Path, python: Interpreter, requirements: list[str], message: str
) -> None:
    with pytest.raises(InstallFailed, match=message) as caught:
        layers.layer(requirements, python)
    if "more than" in message:
        assert "--install-size" in caught.value.hint
    assert layers.cached(requirements, python) is None
    assert disk_usage(tmp_path / "cache") < 48 * MIB  # archives that were complete are kept


def test_an_archive_in_an_archive_stays_packed(layers: Layers, python: Interpreter) -> None:
    assert (layers.layer(["nested"], python) / "inner.zip").stat().st_size < MIB


def test_whoever_trusts_a_large_package_can_have_it(
    tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    room = Room(256 * MIB)
    layer = Layers(tmp_path / "cache", environment, room=room).layer(["onefile"], python)
    assert (layer / "onefile.bin").stat().st_size == 24 * MIB


def test_a_download_that_is_too_long_is_given_up(
    tmp_path: Path, registry: Registry, python: Interpreter
) -> None:
    registry.pause = 0.03
    online = {"PATH": os.defpath, "HOME": str(tmp_path), "PIP_INDEX_URL": registry.url}
    layers = Layers(tmp_path / "cache", online, timeout=60, room=_SMALL)
    with pytest.raises(InstallFailed, match="more than 8 MiB to download"):
        layers.layer(["noise"], python)


@pytest.mark.in_turn(day=2)
def test_what_a_package_says_of_itself_cannot_fill_the_hosts_memory(
    tmp_path: Path, environment: dict[str, str], python: Interpreter
) -> None:
    archive = tmp_path / "talker-1.0-py3-none-any.whl"
    info = "talker-1.0.dist-info"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(f"{info}/METADATA", _deflated(_META.format("talker").encode(), 1100))
        packed.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        packed.writestr(f"{info}/RECORD", "")
    _lie(archive, size=1100 * MIB, method=zipfile.ZIP_DEFLATED)
    environment["UV_FIND_LINKS"] = str(tmp_path)
    with pytest.raises(InstallFailed, match=r"uses? more than 1 GiB of memory"):
        Layers(tmp_path / "cache", environment).layer(["talker"], python)


_ON_A_FULL_DISK = """
mount -t tmpfs -o size=64M none "$1" && head -c 63M /dev/zero > "$1/ballast" && exec "$2" -c '
import pathlib, sys
from e2brun.errors import InstallFailed
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.layers import Layers
sys.addaudithook(lambda event, _: event == "subprocess.Popen" and print("uv was started"))
try:
    Layers(pathlib.Path(sys.argv[1]), {"UV_FIND_LINKS": sys.argv[2], "PIP_NO_INDEX": "1"}).layer(
        ["one"], current_interpreter())
except InstallFailed as error:
    print(error, error.hint)
' "$1" "$3"
"""


def test_the_last_of_a_disk_is_left_alone(tmp_path: Path, wheelhouse: Path) -> None:
    (tmp_path / "disk").mkdir()
    words = ["unshare", "-rm", "sh", "-c", _ON_A_FULL_DISK, "sh", str(tmp_path / "disk")]
    done = subprocess.run(
        [*words, sys.executable, str(wheelhouse)], capture_output=True, text=True, check=False
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(done.stderr)
    assert "the disk is full but for 3.2 MiB" in done.stdout
    assert "E2BRUN_CACHE_DIR" in done.stdout
    assert "uv was started" not in done.stdout
