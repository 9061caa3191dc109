"""The candidate comes from a language model (extra `llm`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from e2brun.errors import UsageError
from e2brun.primitives.extras import needs_extra
from e2brun.stages.generate.cassette import RecordedAnswer
from e2brun.stages.generate.prompted import GeneratorFailed, PromptedGenerator

if TYPE_CHECKING:
    from pydantic_ai import Agent
    from pydantic_ai.models import Model

SYSTEM = (
    "You write Python programs. Answer with one fenced block of Python code that is complete "
    "and runs as it is, and with nothing else."
)
_OLLAMA = "http://localhost:11434/v1"
_PROVIDERS = ("openai", "anthropic", "ollama")


@dataclass(frozen=True, kw_only=True)
class ModelGenerator(PromptedGenerator, step="llm"):
    """Asks `model`: `openai:NAME`, `anthropic:NAME` or `ollama:NAME`.

    `base_url` is any endpoint that speaks the provider's protocol. Without `api_key` the
    provider's own variable (OPENAI_API_KEY, ANTHROPIC_API_KEY) has to be set.
    """

    model: str
    system: str = SYSTEM
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    temperature: float | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        provider, colon, name = self.model.partition(":")
        if not colon or not name or provider not in _PROVIDERS:
            raise UsageError(
                f"generate: {self.model!r} is not a model: write it like openai:gpt-4o; "
                f"known are {', '.join(_PROVIDERS)}"
            )

    def identity(self, variables: Mapping[str, object]) -> str:
        """The model and all its settings but the key."""
        settings = [self.base_url, self.system, self.temperature, self.max_tokens]
        return f"llm {self.model} {json.dumps(settings)}"

    async def ask(self, prompt: str, variables: Mapping[str, object]) -> RecordedAnswer:
        with needs_extra("llm", f"the model {self.model}"):
            from pydantic_ai import exceptions
        try:
            agent = self._agent()
            async with asyncio.timeout(self.timeout):
                result = await agent.run(prompt)
        except exceptions.UserError as error:  # no key, as a rule
            raise UsageError(f"generate: {_first_line(error)}") from error
        except exceptions.AgentRunError as error:
            raise GeneratorFailed(f"{self.model}: {_first_line(error)}", str(error)) from error
        except TimeoutError as error:
            raise GeneratorFailed(f"{self.model} took longer than {self.timeout:g} s") from error
        used = result.usage
        tokens = {"input": used.input_tokens or 0, "output": used.output_tokens or 0}
        return RecordedAnswer(result.output, tokens)

    def _agent(self) -> Agent[None, str]:
        from pydantic_ai import Agent, ModelSettings

        settings = ModelSettings(timeout=self.timeout)
        if self.temperature is not None:
            settings["temperature"] = self.temperature
        if self.max_tokens is not None:
            settings["max_tokens"] = self.max_tokens
        return Agent(self._model(), instructions=self.system or None, model_settings=settings)

    def _model(self) -> Model:
        provider, _, name = self.model.partition(":")
        with needs_extra("llm", f"the model {self.model}"):
            if provider == "anthropic":
                from pydantic_ai.models.anthropic import AnthropicModel
                from pydantic_ai.providers.anthropic import AnthropicProvider

                return AnthropicModel(
                    name, provider=AnthropicProvider(api_key=self.api_key, base_url=self.base_url)
                )
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.ollama import OllamaProvider
            from pydantic_ai.providers.openai import OpenAIProvider

            if provider == "ollama":
                ollama = OllamaProvider(self.base_url or _OLLAMA, api_key=self.api_key)
                return OpenAIChatModel(name, provider=ollama)
            openai = OpenAIProvider(base_url=self.base_url, api_key=self.api_key)
            return OpenAIChatModel(name, provider=openai)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
