"""What builds are asked for, before anything runs."""

from __future__ import annotations

import pytest

from e2brun.sandbox.contract import SandboxSpec
from e2brun.sandbox.local.own_templates import OwnTemplate
from e2brun.sandbox.local.template_setup import Place, Setup
from e2brun.server.builds.context import after, resolved
from e2brun.server.builds.images import NoSuchImage, stand_in
from e2brun.server.builds.plan import Step, copied


@pytest.mark.parametrize(
    ("pattern", "source"),
    [
        ("a/*.txt", "a"),
        ("*.txt", "."),
        ("a/b/**/c", "a/b"),
        ("./a/b.txt", "a/b.txt"),
        ("a/", "a"),
        ("a[1]/x", "."),
        ("{a,b}", "."),
    ],
)
def test_a_copy_takes_what_stands_before_its_first_wildcard(pattern: str, source: str) -> None:
    assert copied(pattern) == source


@pytest.mark.parametrize(
    ("image", "template"),
    [
        ("e2bdev/base", "base"),
        ("e2bdev/base:latest", "base"),
        ("e2bdev/code-interpreter:latest", "code-interpreter-v1"),
        ("debian:stable", "base"),
        ("docker.io/library/ubuntu:24.04", "base"),
        ("python", "base"),
        ("python:3", "base"),
        ("python:3-slim", "base"),
        ("python:slim", "base"),
        ("node:lts", "base"),
        ("oven/bun:slim", "base"),
    ],
)
def test_this_machine_stands_for_images_that_are_like_it(image: str, template: str) -> None:
    assert stand_in(image).template == template


@pytest.mark.parametrize(
    "image",
    [
        "alpine", "python:2.7", "python:3.4", "python:wild", "me/base", "debian@sha256:00",
        "oven/bun:wild", "oven/bun@sha256:00",
    ],
)  # fmt: skip
def test_it_stands_for_no_other(image: str) -> None:
    with pytest.raises(NoSuchImage, match="is not available"):
        stand_in(image)


@pytest.mark.parametrize(
    ("directory", "path", "whole"),
    [
        ("", "x", "/home/user/x"),
        ("", "~/x", "/home/user/x"),
        ("/app", ".", "/app/"),
        ("/app", "sub/", "/app/sub/"),
        ("/app", "../x", "/x"),
        ("/app", "/", "/"),
    ],
)
def test_paths_of_steps_start_at_the_directory_of_the_step(
    directory: str, path: str, whole: str
) -> None:
    assert resolved(path, Place(directory=directory)) == whole


@pytest.mark.parametrize(
    ("before", "path", "then"),
    [("", "app", "/app"), ("/app", "src", "/app/src"), ("/app", "/", "/")],
)
def test_a_first_workdir_that_is_relative_begins_at_the_root(
    before: str, path: str, then: str
) -> None:
    step = Step("WORKDIR", (path,))
    assert after(1, step, Place(directory=before)).directory == then


def test_a_templates_python_runs_programs_unless_another_is_named() -> None:
    template = OwnTemplate("t", Setup("base", python="/its/python3.12"), None)
    assert template.applied(SandboxSpec()).python == "python3.12"
    assert template.applied(SandboxSpec(python="3.13")).python == "3.13"
    assert OwnTemplate("t", Setup("base"), None).applied(SandboxSpec()).python is None
