from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from e2brun import (
    CodeExecutionPrimitive,
    RetryPrimitive,
    SandboxLost,
    SandboxUnavailable,
    UsageError,
    create_test_context,
)
from e2brun.primitives.code import CodeOutput
from e2brun.primitives.events import Executed, Noticed, SandboxReady
from tests.caches import with_ipython
from tests.contract import wheelhouse
from tests.primitives.backends import watched
from tests.primitives.steps import Recorder

pytestmark = pytest.mark.anyio


async def run(code: str, data: dict[str, object] | None = None, **options: Any) -> CodeOutput:
    step = CodeExecutionPrimitive(**{"on": "local", **options})
    return await step.execute({"code": code, **(data or {})}, create_test_context())


async def test_the_output_is_a_plain_dict_with_everything_in_it() -> None:
    result = await run("import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7")
    assert type(result) is dict
    assert result["success"] is True
    assert sorted(result["logs"]) == ["err", "out"]
    assert result["error"] is None
    assert result["results"] == {"text": "42", "extra": {}}
    assert 0 < result["execution_time"] < 60
    assert re.fullmatch(r"i[a-z0-9]{19}", result["sandbox_id"])
    assert (result["outcome"], result["exit_code"]) == ("ok", 0)
    assert (result["stdout"], result["stderr"]) == ("out\n", "err\n")
    json.dumps(result)


async def test_what_the_code_raised_is_data() -> None:
    result = await run("print('before')\nraise ValueError('mine')")
    assert (result["success"], result["outcome"]) == (False, "error")
    assert result["logs"] == ["before"]
    assert result["error"] is not None
    assert result["error"].endswith("ValueError: mine")
    assert "line 2" in result["error"]


async def test_code_over_its_time_is_a_result_too() -> None:
    result = await run("print('x')\nwhile True: pass", {"timeout": 0.3})
    assert (result["success"], result["outcome"], result["logs"]) == (False, "timeout", ["x"])
    assert result["error"] == "Timeout: time limit 0.3 s"


async def test_the_last_thing_displayed_is_the_result_where_there_is_no_value() -> None:
    code = "class B:\n    def _repr_html_(self): return '<b>x</b>'\ndisplay(B())"
    result = await run(code)
    assert result["results"]["html"] == "<b>x</b>"
    assert len(result["displayed"]) == 1


async def test_two_executions_share_nothing() -> None:
    assert (await run("x = 1"))["success"]
    assert not (await run("x"))["success"]


async def test_setup_is_in_the_same_state_and_not_timed() -> None:
    result = await run("x + 1", setup="import time; time.sleep(1.5); x = 1")
    assert result["results"] == {"text": "2", "extra": {}}
    assert result["execution_time"] < 1.5


async def test_a_setup_that_fails_is_the_result() -> None:
    result = await run("print('never')", setup="1 / 0")
    assert "ZeroDivisionError" in str(result["error"])
    assert result["logs"] == []


async def test_a_program_has_a_file_arguments_input_and_an_exit_code() -> None:
    code = "import sys\nprint(__file__, sys.argv[1:], sys.stdin.read())\nsys.exit(3)"
    result = await run(code, as_program=True, arguments=("a", "b"), stdin=b"in")
    assert result["stdout"] == "/home/user/main.py ['a', 'b'] in\n"
    assert (result["exit_code"], result["outcome"]) == (3, "error")
    assert result["error"] == "ExitCode: exit code 3"


async def test_a_program_finds_its_files_in_a_working_directory_that_is_made() -> None:
    code = "import os\nprint(os.getcwd(), open('data.txt').read())"
    data: dict[str, object] = {"files": {"data.txt": "here"}}
    result = await run(code, data, as_program=True, working_directory="work/deep")
    assert result["stdout"] == "/home/user/work/deep here\n"
    empty = await run(
        "import os\nprint(os.getcwd())", as_program=True, working_directory="/tmp/x y"
    )
    assert empty["stdout"] == "/tmp/x y\n"


async def test_a_file_in_the_place_of_the_program_is_refused() -> None:
    with pytest.raises(UsageError, match="give that file another name"):
        await run("1", {"files": {"main.py": "2"}}, as_program=True)


async def test_output_beyond_the_limit_is_counted() -> None:
    from e2brun.settings import Settings

    settings = Settings(on="local", max_output=100)
    result = await run("print('x' * 1000)", settings=settings)
    assert len(result["stdout"]) == 100
    assert result["truncated"] == {"stdout": 901, "stderr": 0}


@pytest.mark.parametrize(
    "options",
    [{"setup": "1", "as_program": True}, {"arguments": ("a",)}, {"stdin": b""}, {"timeout": 0}],
)
def test_settings_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        CodeExecutionPrimitive(**options)


def test_the_key_is_in_no_repr() -> None:
    assert "e2b_secret" not in repr(CodeExecutionPrimitive(api_key="e2b_secret"))


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = wheelhouse.fill(tmp_path / "wheels")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("E2BRUN_CACHE_DIR", str(with_ipython(tmp_path / "cache")))


@pytest.mark.usefixtures("packages")
async def test_imports_are_installed_by_themselves_when_asked() -> None:
    code = "import tiny, json, mine; tiny.VALUE + mine.MORE"
    data: dict[str, object] = {"files": {"mine.py": "MORE = 1"}}
    assert (await run(code, data, auto_install_packages=True))["results"]["text"] == "43"


@pytest.mark.usefixtures("packages")
async def test_what_cannot_be_installed_is_our_failure_not_the_codes() -> None:
    from e2brun import InstallFailed

    with pytest.raises(InstallFailed):
        await run("1", {"install": ["no-such-package-at-all"]})


async def test_the_choice_of_a_backend_and_the_sandbox_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("E2B_API_KEY", "E2B_KEY", "E2BRUN_ON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("E2BRUN_MEMORY", "400M")  # no other test's: a backend of its own
    recorder = Recorder()
    result = await CodeExecutionPrimitive().execute({"code": "1"}, create_test_context(recorder))
    lines = [event.line for event in recorder.events if isinstance(event, Noticed)]
    assert any("no E2B key" in line for line in lines)
    ready = [event for event in recorder.events if isinstance(event, SandboxReady)]
    executed = [event for event in recorder.events if isinstance(event, Executed)]
    assert ready[0].sandbox_id == executed[0].result["sandbox_id"] == result["sandbox_id"]
    assert ready[0].backend == "local"


async def test_a_sandbox_carries_the_ids_and_a_bounded_lifetime(tmp_path: Path) -> None:
    with watched(tmp_path) as backend:
        await run("1", {"timeout": 7}, backend=backend, template="mine")
    (spec,) = backend.specs
    assert spec.metadata == {"correlation_id": "test-correlation", "workflow_id": "test-workflow"}
    assert (spec.lifetime, spec.template) == (67, "mine")


async def test_the_template_python_means_the_backends_own(tmp_path: Path) -> None:
    with watched(tmp_path) as backend:
        await run("1", backend=backend)
    assert backend.specs[0].template is None


async def test_a_fault_of_the_sandbox_is_raised_and_can_be_retried(tmp_path: Path) -> None:
    def fails_twice(number: int) -> None:
        if number < 3:
            raise SandboxUnavailable("not yet")

    with watched(tmp_path, fails_twice) as backend:
        step = RetryPrimitive(CodeExecutionPrimitive(backend=backend), initial_delay=0.001)
        result = await step.execute({"code": "1"}, create_test_context())
    assert result["success"]
    assert backend.asked == 3


async def test_a_sandbox_that_goes_away_is_lost_with_its_id_in_a_note(tmp_path: Path) -> None:
    with watched(tmp_path) as backend:
        step = CodeExecutionPrimitive(backend=backend)
        code = "import time; time.sleep(30)"
        task = asyncio.create_task(step.execute({"code": code}, create_test_context()))
        while not backend.created:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        sandbox: Any = backend.created[0]
        sandbox.jailed.end()  # as the kernel would, not as `kill` does
        with pytest.raises(SandboxLost) as raised:
            await asyncio.wait_for(task, 5)
    assert raised.value.__notes__ == [f"sandbox {sandbox.id}"]


@pytest.mark.parametrize("as_program", [False, True])
async def test_a_working_directory_and_a_python_path_outside_the_home(*, as_program: bool) -> None:
    result = await run(
        "import mod, os; print(mod.X, os.getcwd()); open('made', 'w')",
        {"files": {"src/mod.py": "X = 7"}},
        as_program=as_program,
        working_directory="/workspace",
        environment_vars={"PYTHONPATH": "/workspace/src"},
    )
    assert result["stdout"] == "7 /workspace\n", result["error"]


async def test_entering_the_working_directory_is_no_cell_of_its_own() -> None:
    result = await run("1/0", working_directory="/workspace")
    assert result["error"] is not None
    assert "Cell In[1]" in result["error"]
    result = await run("In, _", working_directory="w")
    assert result["results"]["text"] == "(['', 'In, _'], '')"


async def test_a_file_that_is_a_module_is_taken_for_no_package() -> None:
    result = await run(
        "import tqdm; print(tqdm.MINE)",
        {"files": {"tqdm/__init__.py": "MINE = 1"}},
        auto_install_packages=True,
    )
    assert result["stdout"] == "1\n", result["error"]


async def test_what_the_code_says_of_itself_counts_as_it_does_in_exec() -> None:
    with pytest.raises(UsageError, match="not a requirement"):
        await run("# /// script\n# dependencies = ['./x']\n# ///\n")


async def test_what_is_too_long_to_start_with_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="arguments and variables are too long"):
        await run("1", as_program=True, arguments=["x" * 200_000])


async def test_a_key_that_is_nearly_known_is_a_notice_and_logged_where_nobody_listens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, Noticed):
            told.append(event.line)

    step, data = CodeExecutionPrimitive(on="local"), {"code": "1", "timout": 5, "valid": True}
    await step.execute(data, create_test_context().child(subscribers=(listen,)))
    assert ["timout" in line for line in told] == [True]
    assert not caplog.messages
    await step.execute(data)
    assert caplog.messages == told
