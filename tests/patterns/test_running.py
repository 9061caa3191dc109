"""Code from a guide as people write it: run it, look at what came of it."""

from __future__ import annotations

import json

import pytest

from e2brun import (
    CodeExecutionPrimitive,
    CodeOutput,
    ConditionalPrimitive,
    FallbackPrimitive,
    MockPrimitive,
    RetryPrimitive,
    RouterPrimitive,
    SandboxUnavailable,
    TimeoutPrimitive,
    WorkflowContext,
)

pytestmark = pytest.mark.anyio


async def test_retry_composition() -> None:
    flaky = MockPrimitive(side_effect=[SandboxUnavailable("busy"), {"code": "print('ok')"}])
    workflow = RetryPrimitive(flaky, max_retries=3, initial_delay=0.001) >> CodeExecutionPrimitive(
        on="local"
    )
    result = await workflow.execute({}, WorkflowContext())
    assert result["logs"] == ["ok"]
    assert flaky.call_count == 2


async def test_the_users_bug_is_not_retried() -> None:
    calls: list[str] = []

    async def count(data: dict[str, object]) -> dict[str, object]:
        calls.append("ran")
        return data

    step = RetryPrimitive(count >> CodeExecutionPrimitive(on="local"), max_retries=3)
    result = await step.execute({"code": "1 / 0"}, WorkflowContext())
    assert not result["success"]
    assert calls == ["ran"]


async def test_iterative_generation() -> None:
    """The generator is given the error of its last attempt until the code runs."""
    attempts = ["print(totl)", "total = sum(range(5)\nprint(total)", "print(sum(range(5)))"]
    errors: list[str] = []

    async def generate(task: dict[str, object], context: WorkflowContext) -> dict[str, object]:
        number = int(str(context.state.get("attempt", 0)))
        context.state["attempt"] = number + 1
        return {"code": attempts[number]}

    workflow = generate >> CodeExecutionPrimitive(on="local")
    context = WorkflowContext(correlation_id="refine-1")
    for _ in range(5):
        result = await workflow.execute({"task": "sum"}, context)
        if result["success"]:
            break
        errors.append(str(result["error"]))
    assert result["logs"] == ["10"]
    assert "NameError: name 'totl' is not defined" in errors[0]
    assert "SyntaxError" in errors[1]
    assert len(errors) == 2


async def test_validation_pipeline_with_bare_async_functions() -> None:
    async def check_syntax(data: dict[str, str]) -> dict[str, str]:
        compile(data["code"], "<candidate>", "exec")
        return data

    async def check_security(data: dict[str, str]) -> dict[str, str]:
        if "os.system" in data["code"]:
            raise PermissionError("os.system is not allowed")
        return data

    async def check_output(result: CodeOutput, context: WorkflowContext) -> str:
        assert result["success"]
        return f"{context.correlation_id}: {result['stdout']}"

    pipeline = (
        check_syntax
        >> (
            check_security
            >> TimeoutPrimitive(CodeExecutionPrimitive(on="local"), timeout_seconds=10)
        )
        >> check_output
    )
    context = WorkflowContext(correlation_id="v-1")
    assert await pipeline.execute({"code": "print('valid')"}, context) == "v-1: valid\n"
    with pytest.raises(SyntaxError):
        await pipeline.execute({"code": "print('valid'"}, context)
    with pytest.raises(PermissionError):
        await pipeline.execute({"code": "import os; os.system('id')"}, context)


async def test_files_in_and_a_file_read_back() -> None:
    code = """
import json
data = json.load(open('data.json'))
json.dump({'sum': sum(data['values'])}, open('output.json', 'w'))
print(open('output.json').read())
json.load(open('output.json'))
"""
    files = {"data.json": json.dumps({"values": [1, 2, 3]}), "raw.bin": b"\x00\xff"}
    result = await CodeExecutionPrimitive(on="local").execute(
        {"code": code, "files": files}, WorkflowContext()
    )
    assert json.loads(result["stdout"]) == {"sum": 6}
    assert result["results"]["text"] == "{'sum': 6}"


async def test_a_router_a_condition_and_a_fallback_around_executions() -> None:
    quick = CodeExecutionPrimitive(on="local", timeout=5)
    careful = CodeExecutionPrimitive(on="local", timeout=60, as_program=True)
    router = RouterPrimitive(
        {"quick": quick, "careful": careful},
        lambda data: "careful" if len(str(data["code"])) > 50 else "quick",
    )
    broken = MockPrimitive(side_effect=SandboxUnavailable("the cloud is down"))
    step = FallbackPrimitive(broken, router) >> ConditionalPrimitive(
        lambda result: bool(result["success"]), MockPrimitive("passed"), MockPrimitive("failed")
    )
    context = WorkflowContext()
    assert await step.execute({"code": "print(1)"}, context) == "passed"
    assert await step.execute({"code": "#" * 60 + "\n1 / 0"}, context) == "failed"
