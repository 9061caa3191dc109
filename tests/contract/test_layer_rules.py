"""Rules among requirements reach uv: an index on loopback that has two versions."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from e2brun.errors import InstallFailed
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.layers import Layers
from tests.contract.wheelhouse import wheel

_TIMES = {"1.0": "2024-01-01T00:00:00Z", "2.0": "2025-06-01T00:00:00Z"}


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[Layers]:
    for version in _TIMES:
        wheel(tmp_path, "two", {"two.py": f"VERSION = {version!r}\n"}, version=version)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rstrip("/").rpartition("/")[2]
            if name.endswith(".whl"):
                self.answer("application/zip", (tmp_path / name).read_bytes())
                return
            files = [
                {"filename": f"two-{version}-py3-none-any.whl", "hashes": {}, "upload-time": time,
                 "url": f"/two-{version}-py3-none-any.whl"}
                for version, time in _TIMES.items()
            ]  # fmt: skip
            page = {"meta": {"api-version": "1.1"}, "name": "two", "files": files}
            kind = "application/vnd.pypi.simple.v1+json"
            self.answer(kind, json.dumps(page | {"versions": list(_TIMES)}).encode())

        do_HEAD = do_GET  # noqa: N815

        def answer(self, kind: str, data: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            "PATH": os.defpath,
            "HOME": str(tmp_path),
            "UV_DEFAULT_INDEX": f"http://127.0.0.1:{server.server_port}/simple",
        }
        yield Layers(tmp_path / "cache", environment, timeout=60)
        server.shutdown()


def version(layers: Layers, *requirements: str) -> str:
    return (layers.layer(requirements, current_interpreter()) / "two.py").read_text()


def test_rules_choose_the_version_and_have_layers_of_their_own(layers: Layers) -> None:
    assert "2.0" in version(layers, "two")
    assert "1.0" in version(layers, "two", "--constraint two<2")
    assert "1.0" in version(layers, "two", "--exclude-newer 2025-01-01")
    assert "1.0" in version(layers, "two", "--exclude-newer-package two=2025-01-01")
    assert "1.0" in version(layers, "two>=2", "--override two==1.0")
    assert "2.0" in version(layers, "two")
    with pytest.raises(InstallFailed):
        version(layers, "two>=2", "--constraint two<2")
