"""Sandboxes that outlive the command that made them: E2B's, or those of a service on this machine.

One client for both, on the official SDK: the local service speaks E2B's protocol. Nothing here
prolongs, resumes or ends a sandbox unless that is what was asked.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from e2brun.errors import SandboxError, SandboxLost, SandboxUnavailable, UsageError
from e2brun.sandbox.contract import SandboxSpec
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.backend import LOAD_SECONDS
from e2brun.sandbox.e2b.backoff import Backoff
from e2brun.sandbox.e2b.channel import call
from e2brun.sandbox.e2b.reaper import Reaper
from e2brun.sandbox.e2b.sandbox import E2BSandbox, Ties
from e2brun.sandbox.e2b.translate import one_line, translated_errors

T = TypeVar("T")

STATES = ("running", "paused")
_LONGEST_ID = 100
_PAGES = 1000  # of a hundred


class NoSuchSandbox(SandboxError):
    """There is no sandbox of that id: it ended, or there never was one. An answer, no failure."""

    exit_code = 1
    hint = "`e2brun sandbox list` shows those there are."


@dataclass(frozen=True, slots=True)
class Facts:
    """What the provider says of one sandbox. All texts are its creator's or the provider's."""

    id: str
    template: str
    state: str
    started_at: datetime
    end_at: datetime
    cpu_count: int
    memory_mb: int
    envd_version: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of a sandbox; bytes."""

    time: datetime
    cpu_count: int
    cpu_used_pct: float
    memory_used: int
    memory_total: int
    disk_used: int
    disk_total: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a sandbox's log."""

    time: datetime
    level: str
    message: str


class Remote:
    """The provider of sandboxes, asked one thing at a time. Raises SandboxError."""

    def __init__(
        self,
        credentials: sdk.Credentials,
        *,
        name: str,
        notice: Callable[[str], None],
    ) -> None:
        self.credentials = credentials
        self._name = name
        self._backoff = Backoff(notice=notice)
        self._loaded = False

    def load(self) -> None:
        """Import the SDK, which takes a third of a second; the first request does it too."""
        if not self._loaded:
            with translated_errors(self.credentials.api_key):
                call(lambda: sdk.load(self.credentials), deadline=LOAD_SECONDS, name="loading")
            self._loaded = True

    def create(self, spec: SandboxSpec) -> str:
        """Its id. Nobody ends it but its lifetime, or whoever is asked to."""
        self.load()
        key = secrets.token_hex(16)
        native = self._ask(lambda: sdk.create(self.credentials, spec, key), "creating a sandbox")
        return str(native.sandbox_id)

    def sandboxes(
        self, *, states: Sequence[str] = (), metadata: Mapping[str, str] | None = None
    ) -> list[Facts]:
        """Every sandbox there is, newest first, that has all of this metadata."""
        self.load()
        pages = sdk.pages(self.credentials, states, metadata or {})
        found: list[Facts] = []
        for _ in range(_PAGES):
            found.extend(map(_facts, self._ask(pages.next_items, "listing sandboxes")))
            if not pages.has_next:
                return found
        raise SandboxUnavailable(f"{self._name} lists sandboxes without end")

    def info(self, sandbox_id: str) -> Facts:
        return _facts(self._about(sandbox_id, lambda kind, o: kind.get_info(sandbox_id, **o)))

    def kill(self, sandbox_id: str) -> None:
        """End it. Raises NoSuchSandbox."""
        if not self._about(sandbox_id, lambda kind, o: kind.kill(sandbox_id, **o)):
            raise _unknown(sandbox_id)

    def pause(self, sandbox_id: str) -> bool:
        """Stop it, keeping everything; False where it was paused already."""
        return bool(self._about(sandbox_id, lambda kind, o: kind.pause(sandbox_id, **o)))

    def resume(self, sandbox_id: str, lifetime: float) -> None:
        """Let it go on, for `lifetime` seconds at least."""
        seconds = max(1, math.ceil(lifetime))
        self._about(sandbox_id, lambda kind, o: kind.connect(sandbox_id, timeout=seconds, **o))

    def metrics(self, sandbox_id: str) -> list[Measured]:
        """Its measurements, oldest first."""
        raw = self._about(sandbox_id, lambda kind, o: kind.get_metrics(sandbox_id, **o))
        return [_measured(one) for one in raw]

    def logs(self, sandbox_id: str, since: int) -> list[LogLine]:
        """Its log from `since` on (Unix milliseconds), oldest first; one page of it."""
        raw = self._about(
            sandbox_id, lambda _kind, _o: sdk.logs(self.credentials, sandbox_id, since)
        )
        lines = [LogLine(e.timestamp, str(e.level.value), str(e.message)) for e in raw]
        return sorted(lines, key=lambda line: line.time)

    def attach(
        self, sandbox_id: str, env: Mapping[str, str] | None = None
    ) -> tuple[sdk.Native, E2BSandbox]:
        """A running sandbox to work in: the SDK's object, and ours, whose programs get `env`.
        Raises SandboxError where it is paused."""
        native = self._about(sandbox_id, lambda _kind, _o: sdk.attach(self.credentials, sandbox_id))
        if native is None:
            raise SandboxError(
                f"{sandbox_id} is paused", hint=f"e2brun sandbox resume {sandbox_id}"
            )
        hidden = (self.credentials.api_key, *sdk.tokens(native))
        ties = Ties(Reaper(), self._backoff, hidden, "", env or {}, owned=False)
        return native, E2BSandbox(native, ties)

    def _about(self, sandbox_id: str, operation: Callable[[Any, dict[str, Any]], T]) -> T:
        """Something asked of one sandbox, by the SDK's class and with its options."""
        check_id(sandbox_id)
        self.load()

        def asked() -> T:
            try:
                return operation(sdk.native_class(), sdk.options(self.credentials))
            except Exception as error:
                if sdk.is_not_found(error):
                    raise _unknown(sandbox_id) from None
                raise

        return self._ask(asked, "asking about a sandbox")

    def _ask(self, operation: Callable[[], T], name: str) -> T:
        try:
            with translated_errors(self.credentials.api_key):
                return self._backoff.call(
                    lambda: call(operation, deadline=sdk.REQUEST_SECONDS + 5, name=name)
                )
        except SandboxLost as error:  # of a provider: there is no sandbox to lose in between
            message = f"{self._name} did not answer ({name}): {error}"
            raise SandboxUnavailable(message, hint="") from error
        except UsageError as error:  # a 400 is about what was asked, which we put into words
            message = f"{self._name} refused ({name}): {error}"
            raise SandboxError(message, hint=error.hint) from error


def check_id(sandbox_id: str) -> None:
    """Raises UsageError for what cannot be an id: it goes into the paths of requests."""
    plain = sandbox_id.replace("-", "")
    if not (plain.isascii() and plain.isalnum() and len(sandbox_id) <= _LONGEST_ID):
        raise UsageError(f"not a sandbox id: {one_line(ascii(sandbox_id))}")


def _unknown(sandbox_id: str) -> NoSuchSandbox:
    return NoSuchSandbox(f"no sandbox {sandbox_id}")


def _facts(raw: Any) -> Facts:
    metadata = cast("dict[object, object]", raw.metadata or {})
    return Facts(
        id=str(raw.sandbox_id),
        template=str(raw.name or raw.template_id),
        state=str(getattr(raw.state, "value", raw.state)),
        started_at=raw.started_at,
        end_at=raw.end_at,
        cpu_count=int(raw.cpu_count),
        memory_mb=int(raw.memory_mb),
        envd_version=str(raw.envd_version),
        metadata={str(key): str(value) for key, value in metadata.items()},
    )


def _measured(raw: Any) -> Measured:
    return Measured(
        time=raw.timestamp,
        cpu_count=int(raw.cpu_count),
        cpu_used_pct=float(raw.cpu_used_pct),
        memory_used=int(raw.mem_used),
        memory_total=int(raw.mem_total),
        disk_used=int(raw.disk_used),
        disk_total=int(raw.disk_total),
    )
