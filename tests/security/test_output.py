"""Whatever a program prints, on whatever descriptor, what e2brun says of it stays true."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.security.probing import Probe

pytestmark = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap (bwrap) is not installed"
)

Write = Callable[..., Path]
_LOCAL = ("exec", "--on", "local")

_ESCAPES = r"""
import os
for stream in (1, 2):
    os.write(stream, b"set \x1b]0;pwned\x07 clip \x1b]52;c;cHduZWQ=\x1b\\ cursor \x1b[2J\x1b[1;1H")
    os.write(stream, b"\x1bP+q\x1b\\ \x9b31m \xc2\x9b31m \x90 \x08 \x7f \x0e \x1b[5n \x1b[c \x00\n")
    os.write(stream, b"split \x1b")
    os.write(stream, b"[31m end\n")
"""
_COMMANDS = r"""
import os, sys
for stream in (1, 2):
    for line in (
        "::set-output name=x::y", "  ::error::x", "\t::add-mask::x", "##[error]x", "a ##[group]x",
        "\r::warning::x", "::stop-commands::x", "\ufeff::debug::x", "\x0b::notice::x",
    ):
        os.write(stream, line.encode() + b"\n")
    for part in ("split #", "#[error]x\n", ":", ":warning::x\n", "x\n", ":", ":", "error::y\n"):
        os.write(stream, part.encode())
"""
# What GitHub's runner obeys (actions/runner, ActionCommand.cs).
_OBEYED = re.compile(rb"(?:^|[\r\n])[\s\xef\xbb\xbf\x1c-\x1f]*::[a-z]|##\[[a-z]")


def test_bytes_pass_unchanged_where_nobody_interprets_them(e2brun: Run, script: Write) -> None:
    path = script(_ESCAPES.replace("(1, 2)", "(1,)") + "os.write(1, bytes(range(256)))")
    ran = e2brun(*_LOCAL, "--quiet", path)
    bare = subprocess.run([sys.executable, path], capture_output=True, check=True)
    assert ran.out == bare.stdout


@pytest.mark.parametrize("options", [(), ("--json",), ("--cell",)])
def test_no_workflow_command_is_obeyed(
    e2brun: Run, script: Write, options: tuple[str, ...]
) -> None:
    path = script(_COMMANDS)
    ran = e2brun(*_LOCAL, *options, path, env={"GITHUB_ACTIONS": "true"})
    assert ran.code == 0, ran.err
    assert not _OBEYED.search(ran.out), ran.out
    assert not _OBEYED.search(ran.err.encode()), ran.err
    bare = subprocess.run([sys.executable, path], capture_output=True, check=True)
    assert len(_OBEYED.findall(bare.stdout)) >= 10


def test_no_workflow_command_hides_in_a_name_or_a_message(e2brun: Run, script: Write) -> None:
    path = script("raise type('##[error]x', (Exception,), {})('\\n::error::pwned\\n##[error]y')")
    for options in ((), ("--json",), ("--cell",), ("--json", "--cell")):
        ran = e2brun(*_LOCAL, *options, path, env={"GITHUB_ACTIONS": "true"})
        assert ran.code == 1
        assert not _OBEYED.search(ran.out + b"\n" + ran.err.encode()), (options, ran)


def test_json_is_one_ascii_document_whatever_was_printed(e2brun: Run, script: Write) -> None:
    forged = '{"schema": 1, "outcome": "ok", "success": true, "exit_code": 0}'
    path = script(
        _ESCAPES
        + f"""
for stream in (1, 2):
    os.write(stream, bytes(range(256)) * 3 + b"\\xff\\xfe\\xed\\xa0\\x80")
    os.write(stream, {forged.encode()!r} + b"\\n")
raise SystemExit(9)
"""
    )
    ran = e2brun(*_LOCAL, "--json", path)
    assert ran.out.isascii()
    assert ran.out.count(b"\n") == 1
    document = json.loads(ran.out)
    assert (document["outcome"], document["success"], document["exit_code"]) == ("error", False, 9)
    assert document["stdout"].count("pwned") == 1
    assert ran.code == 9


@pytest.mark.crossed
def test_frames_forged_on_every_descriptor_change_nothing(probe: Probe) -> None:
    code = """
    import json, os
    frames = [
        b"hello", b"exit\\0" + b"1\\0" + b"0\\0" + b"0\\0" + b"0" + b"\\0", b"done\\0" + b"1",
        json.dumps({"type": "end"}).encode() + b"\\n",
        json.dumps({"outcome": "ok", "exit_code": 0}).encode() + b"\\n",
    ]
    for frame in frames:
        for descriptor in range(256):
            try:
                os.write(descriptor, frame)
            except OSError:
                pass
    os._exit(3)
    """
    report = probe(code, after=[["read", "probe.py"]])
    assert (report.outcome, report.exit_code) == ("error", 3)
    assert "text" in report.after[0]
    # A cell has the channel itself: it may spoil its own report, never make it say "ok".
    cell = probe(code, cell=True)
    assert cell.outcome != "ok", cell
    assert cell.elapsed < 10


@pytest.mark.parametrize("code", [124, 125, 137])
def test_exit_codes_that_look_like_ours_are_told_apart(
    e2brun: Run, script: Write, code: int
) -> None:
    path = script(f"raise SystemExit({code})")
    ran = e2brun(*_LOCAL, "--json", path)
    document = json.loads(ran.out)
    assert (document["outcome"], document["exit_code"]) == ("error", code)
    assert document["signal"] is None
    assert ran.code == code
