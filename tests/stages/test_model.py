from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from e2brun.errors import UsageError
from e2brun.runs.record import Verdict
from e2brun.stages.generate.model import ModelGenerator
from tests.stages.taking import take

pytestmark = [
    # not imported for it: that takes half a second of every worker
    pytest.mark.skipif(find_spec("pydantic_ai") is None, reason="pydantic_ai is not installed"),
    pytest.mark.anyio,
    # its SDKs, not us
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning"),
]


class Api(http.server.ThreadingHTTPServer):
    """The chat API of OpenAI, as far as one answer goes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append({"path": self.path, **body, "key": self.headers["authorization"]})
        message = {"role": "assistant", "content": "Here:\n```python\nprint(42)\n```"}
        answer = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
        content = json.dumps(answer if self.server.status == 200 else {"error": {"message": "no"}})
        self.send_response(self.server.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_model_is_asked_and_its_tokens_are_counted(api: Api) -> None:
    step = ModelGenerator(
        model="openai:some-model",
        prompt="Print {{n}}.",
        base_url=api.url,
        api_key="k",
        temperature=0.5,
    )
    work = await take(step, variables={"n": 42})
    assert work.code == "print(42)\n"
    assert dict(work.steps[0].tokens) == {"input": 11, "output": 7}
    (asked,) = api.asked
    assert asked["path"] == "/v1/chat/completions"
    assert (asked["model"], asked["temperature"]) == ("some-model", 0.5)
    assert asked["messages"][-1] == {"role": "user", "content": "Print 42."}


async def test_ollama_needs_no_key(api: Api) -> None:
    step = ModelGenerator(model="ollama:tiny", prompt="p", base_url=api.url)
    assert (await take(step)).code == "print(42)\n"


async def test_a_model_that_fails_is_infrastructure(api: Api) -> None:
    api.status = 401
    step = ModelGenerator(model="openai:m", prompt="p", base_url=api.url, api_key="secret-key")
    record = (await take(step)).steps[0]
    assert record.verdict is Verdict.INFRASTRUCTURE
    assert "401" in record.message
    assert "secret-key" not in record.message + record.details + repr(step)


@pytest.mark.parametrize("model", ["gpt-4o", "openai:", "opnai:gpt-4o"])
async def test_a_model_that_cannot_be_is_a_mistake_of_usage(model: str) -> None:
    with pytest.raises(UsageError, match="is not a model"):
        ModelGenerator(model=model, prompt="p")


async def test_a_missing_key_is_a_mistake_of_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        await take(ModelGenerator(model="openai:m", prompt="p"))
