"""Templates built by E2B's own `Template`, and sandboxes made of them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from e2b import AsyncTemplate, Sandbox, Template, wait_for_port, wait_for_timeout
from e2b.exceptions import BuildException, TemplateException

from tests.sdk.serving import Serving


@pytest.fixture
def name() -> str:
    return f"built-{uuid4().hex[:12]}"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Files to be copied."""
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "text.txt").write_text("text\n")
    (tmp_path / "folder" / "sub" / "deep.txt").write_text("deep\n")
    (tmp_path / "folder" / "link").symlink_to("text.txt")
    return tmp_path


def _said(template: Any, name: str, **more: Any) -> list[str]:
    """Build it; the lines of its log."""
    lines: list[str] = []
    Template.build(template, name, on_build_logs=lambda line: lines.append(line.message), **more)
    return lines


def _inside(name: str, command: str) -> str:
    sandbox = Sandbox.create(name, timeout=60)
    try:
        return str(sandbox.commands.run(command).stdout)
    finally:
        sandbox.kill()


def test_what_the_steps_leave_is_in_every_sandbox_of_the_template(
    service: Serving, name: str, context: Path
) -> None:
    template = (
        Template(file_context_path=context)
        .from_image("ubuntu:22.04")
        .copy("folder/*.txt", "texts")
        .copy("folder", "/data/whole")
        .copy("folder/text.txt", "/data/")
        .copy("folder/text.txt", "/data/other.txt", mode=0o600)
        .set_envs({"COLOUR": "blue"})
        .run_cmd("echo $COLOUR > colour; cat texts/text.txt")
        .make_symlink("colour", "tint")
        .set_workdir("/app")
        .run_cmd("pwd > where", user="root")
    )
    lines = _said(template, name)
    assert any(line.startswith("[base] FROM ubuntu:22.04") for line in lines)
    assert "[builder 6/9] [stdout]: text" in lines
    shown = _inside(
        name,
        "pwd; cat where ~/tint; cat /data/whole/sub/deep.txt /data/whole/link /data/text.txt; "
        "stat -c %a /data/other.txt; ls ~/texts",
    )
    assert shown == "/app\n/app\nblue\ndeep\ntext\ntext\n600\ntext.txt\n"


@pytest.mark.skipif(shutil.which("ss") is None, reason="the SDK's wait_for_port asks ss (iproute2)")
def test_what_it_starts_is_up_when_the_sandbox_is_there(service: Serving, name: str) -> None:
    template = (
        Template()
        .from_base_image()
        .run_cmd("mkdir site && echo hello > site/index.html")
        .set_workdir("/home/user/site")
        .set_start_cmd("python3 -m http.server 8123", wait_for_port(8123))
    )
    Template.build(template, name)
    assert _inside(name, "curl -s localhost:8123/") == "hello\n"


def test_a_step_that_was_done_is_not_done_again(service: Serving, name: str) -> None:
    def template(last: str) -> Any:
        return Template().from_base_image().run_cmd(f"echo {name} > once").run_cmd(last)

    assert not [line for line in _said(template("true"), name) if line.startswith("CACHED")]
    again = _said(template("true"), name)
    assert [line[:20] for line in again if "builder" in line] == [
        "CACHED [builder 1/2]",
        "CACHED [builder 2/2]",
    ]
    other = _said(template("cat once"), name)
    assert "[builder 2/2] [stdout]: " + name in other
    assert any(line.startswith("CACHED [builder 1/2]") for line in other)
    forced = _said(template("cat once"), name, skip_cache=True)
    assert not [line for line in forced if line.startswith("CACHED")]


def test_a_template_can_start_from_another(service: Serving, name: str) -> None:
    below = Template().from_base_image().set_workdir("/app").run_cmd("echo below > a", user="root")
    Template.build(below, name)
    Template.build(Template().from_template(name).run_cmd("cat a > b", user="root"), f"{name}-2")
    assert _inside(f"{name}-2", "cat a b") == "below\nbelow\n"


_FAILING: dict[str, tuple[Callable[[], Any], str, str]] = {
    "command": (
        lambda: Template().from_base_image().run_cmd("cat nothing"),
        "failed to run command 'cat nothing': exit status 1",
        "run_cmd",
    ),
    "image": (
        lambda: Template().from_image("alpine:3"),
        "image 'alpine:3' is not available: no images are fetched here",
        "from_image",
    ),
    "python": (
        lambda: Template().from_python_image("3.99"),
        "image 'python:3.99' is not available: no Python 3.99 was found",
        "from_python_image",
    ),
    "template": (
        lambda: Template().from_template("no-such"),
        "template 'no-such' was not found",
        "from_template",
    ),
    "user": (
        lambda: Template().from_base_image().set_user("; exit 1"),
        "invalid username: '; exit 1': there are user and root here",
        "set_user",
    ),
    "another user": (
        lambda: Template().from_base_image().run_cmd("whoami", user="root1"),
        "command 'whoami': command failed: unauthenticated: invalid username: 'root1'",
        "run_cmd",
    ),
    "directory": (
        lambda: Template().from_base_image().set_user("root").set_workdir("/etc/passwd"),
        "failed to run command 'mkdir -p /etc/passwd'",
        "set_workdir",
    ),
    "apt": (
        lambda: Template().from_base_image().apt_install("no-such-package"),
        "failed to run command 'apt-get update && DEBIAN_FRONTEND=noninteractive",
        "apt_install",
    ),
    "start": (
        lambda: Template().from_base_image().set_start_cmd("./nothing", wait_for_timeout(2000)),
        "the start command failed: exit status 127",
        "set_start_cmd",
    ),
}


@pytest.mark.parametrize("case", _FAILING)
def test_a_build_that_fails_says_which_step_and_why(service: Serving, name: str, case: str) -> None:
    make, message, method = _FAILING[case]
    with pytest.raises(BuildException, match=re.escape(message)) as caught:
        Template.build(make(), name)
    lines = [str(entry.statement) for entry in caught.traceback]
    assert any(f".{method}(" in line for line in lines)  # the SDK points at the step itself
    with pytest.raises(Exception, match="was not found"):
        Sandbox.create(name)


def test_tags_name_builds(service: Serving, name: str) -> None:
    for number in ("1", "2"):
        template = Template().from_base_image().run_cmd(f"echo {number} > number")
        built = Template.build(template, f"{name}:v{number}")
        assert _inside(f"{name}:{built.build_id}", "cat number") == f"{number}\n"
    told = Template.assign_tags(f"{name}:v1", ["stable", "latest"])
    assert set(told.tags) == {"stable", "latest"}
    assert _inside(f"{name}:stable", "cat number") == "1\n"
    assert _inside(f"{name}:v2", "cat number") == "2\n"
    assert {tag.tag for tag in Template.get_tags(name)} == {"v1", "v2", "stable", "latest"}
    Template.remove_tags(name, ["stable"])
    with pytest.raises(TemplateException, match="has no tag 'stable'"):
        Template.remove_tags(name, ["stable"])
    with pytest.raises(Exception, match="was not found"):
        Sandbox.create(f"{name}:stable")
    for other in (":stable", f"{name}:", f"{name}:stable"):
        with pytest.raises(TemplateException, match="cannot be a tag"):
            Template.assign_tags(f"{name}:v1", other)
    assert Template.exists(name)
    assert not Template.exists(f"{name}-other")


@pytest.mark.anyio
async def test_a_build_in_the_background_can_be_followed(service: Serving, name: str) -> None:
    template = AsyncTemplate().from_base_image().run_cmd("sleep 1")
    build = await AsyncTemplate.build_in_background(template, name)
    assert (await AsyncTemplate.get_build_status(build)).status.value == "building"
