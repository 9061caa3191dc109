"""A state directory that a stranger has written to names nothing beside it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from e2brun.errors import SandboxError, UsageError
from e2brun.sandbox.local.isolation.rootfs import OWNER_OF_MOUNTS
from e2brun.sandbox.local.registered import RegisteredTemplates
from e2brun.sandbox.local.template_setup import Setup
from e2brun.server.sandboxes.volumes import Volumes

_MIB = 1024 * 1024


@pytest.mark.parametrize("name", ["..", "/", "../../elsewhere", "volume/inside", "A" * 20, ""])
def test_a_volume_of_the_list_whose_id_is_none_is_not_there(tmp_path: Path, name: str) -> None:
    index = tmp_path / "volumes.json"
    index.write_text(json.dumps([{"name": "it", "id": name, "token": "vol_1"}]))
    volumes = Volumes(tmp_path, _MIB, durable=True)
    volumes.close()
    assert volumes.by_id == {}
    assert list(tmp_path.glob("volumes.json.damaged-*"))


def test_a_link_among_the_volumes_leads_nowhere(tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere" / "precious"
    precious.parent.mkdir()
    precious.write_text("still here")
    state = tmp_path / "state"
    (state / "volumes").mkdir(parents=True)
    (state / "volumes" / "unknown").symlink_to(precious.parent)
    listed = "0123456789abcdef0123"
    (state / "volumes" / listed).symlink_to(precious.parent)
    (state / "volumes.json").write_text(json.dumps([{"name": "it", "id": listed, "token": "t"}]))
    if os.geteuid() == 0:  # as whom workers are
        os.chown(precious.parent, OWNER_OF_MOUNTS, OWNER_OF_MOUNTS)

    async def run() -> None:
        volumes = Volumes(state, _MIB, durable=True)
        try:
            await volumes.take_stock()
            with pytest.raises(SandboxError, match="Not a directory"):
                await volumes.destroy(volumes.find("it"))
        finally:
            volumes.close()

    asyncio.run(run())
    assert precious.read_text() == "still here"


@pytest.mark.parametrize(
    "made",
    [
        {"tree": "../precious"},
        {"tree": "/etc/passwd"},
        {"setup": {"base": "base", "python": "/tmp/evil.sh"}},
        {"setup": {"base": "base", "python": "python3.11;"}},
    ],
)
def test_a_template_of_the_list_has_its_files_and_its_python_here(
    tmp_path: Path, made: dict[str, object]
) -> None:
    build = {"id": "b", "status": "ready", "made": {"setup": {"base": "base"}, "key": "k", **made}}
    told = {"t": {"name": "mine", "id": "t", "builds": {"b": build}, "tags": {"default": ["b", 1]}}}
    (tmp_path / "index.json").write_text(json.dumps(told))
    with pytest.raises(UsageError, match="damaged"):
        RegisteredTemplates(tmp_path, durable=True)


def test_the_path_of_a_python_is_taken_for_its_name() -> None:
    assert Setup("base", python="/opt/of/a/stranger/bin/python3.9").python == "python3.9"
