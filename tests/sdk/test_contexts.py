"""Contexts of the real SDK: made, listed, restarted, removed."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_the_defaults_are_listed_and_a_new_one_comes_last(interpreter: Any) -> None:
    before = interpreter.list_code_contexts()
    assert [context.language for context in before] == ["python", "javascript"]
    made = interpreter.create_code_context(language=" Python ", cwd="/tmp")
    assert (made.language, made.cwd) == ("python", "/tmp")
    assert interpreter.list_code_contexts()[-1].id == made.id
    assert interpreter.run_code("import os; os.getcwd()", context=made).text == "/tmp"


def test_contexts_share_nothing_but_files(interpreter: Any) -> None:
    made = interpreter.create_code_context()
    assert made.cwd == "/home/user"
    interpreter.run_code("x = 1; open('shared', 'w').write('y')")
    assert interpreter.run_code("x", context=made).error.name == "NameError"
    assert interpreter.run_code("open('shared').read()", context=made).text == "y"


def test_a_restarted_context_is_empty_and_keeps_its_id(interpreter: Any) -> None:
    made = interpreter.create_code_context()
    interpreter.run_code("x = 1", context=made)
    interpreter.restart_code_context(made)
    done = interpreter.run_code("x", context=made)
    assert (done.error.name, done.execution_count) == ("NameError", 1)
    interpreter.remove_code_context(made.id)
    assert made.id not in [context.id for context in interpreter.list_code_contexts()]
