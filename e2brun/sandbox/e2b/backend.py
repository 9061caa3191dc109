"""Where E2B sandboxes come from, and who answers for their end."""

from __future__ import annotations

import os
import re
import secrets
import socket
import threading
from collections.abc import Callable

from e2brun import __version__
from e2brun.errors import AuthenticationFailed, SandboxLost, SandboxUnavailable, Unsupported
from e2brun.sandbox.contract import Limits, SandboxSpec
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.backoff import Backoff
from e2brun.sandbox.e2b.channel import call
from e2brun.sandbox.e2b.reaper import Reaper
from e2brun.sandbox.e2b.sandbox import E2BSandbox, Ties
from e2brun.sandbox.e2b.translate import translated_errors
from e2brun.sandbox.owner import OWNER, owner_mark

LOAD_SECONDS = 120.0  # for the SDK's import, on a disk that may be slow
CLOSE_SECONDS = 1.0  # for E2B's answer, or the reaper to be done, which goes on without us
_SANDBOX_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")
FIXED_LIMITS = "E2B's limits are fixed by the template: build one with other limits and name it."


class E2BBackend:
    """Creates E2B sandboxes, each with a lifetime and the marks of who owns it. Whatever happens to
    this process, its reaper kills what it created and did not release."""

    name = "e2b"

    def __init__(
        self,
        credentials: sdk.Credentials,
        *,
        run_id: str = "",
        notice: Callable[[str], None] = lambda line: None,
        crowd: bool = False,
    ) -> None:
        """`crowd`: as many as there may be will be wanted. A refusal is raised at once, since
        another sandbox may have to end first; killing one waits until it is gone."""
        self._credentials = credentials
        self._run_id = run_id or secrets.token_hex(8)
        self._backoff = Backoff(tries=1) if crowd else Backoff(notice=notice)
        self._crowd = crowd
        self.guard = Reaper()  # kills what we leave behind
        self._lock = threading.Lock()
        self._introduced = False
        self._owned: dict[str, E2BSandbox] = {}

    def create(self, spec: SandboxSpec) -> E2BSandbox:
        _check(spec)
        self._prepare()
        token = secrets.token_hex(16)
        marked = spec.but(metadata={**spec.metadata, **self._marks(token)})
        native = self._create(marked, token)
        hidden = (self._credentials.api_key, *sdk.tokens(native))
        ties = Ties(
            self.guard,
            self._backoff,
            hidden,
            spec.template or "python",
            spec.env,
            install_timeout=spec.install_timeout,
            waits_for_end=self._crowd,
        )
        sandbox = E2BSandbox(native, ties)
        with self._lock:
            # A long life makes many: those that were killed are the reaper's alone.
            self._owned = {i: owned for i, owned in self._owned.items() if not owned.killed}
            self._owned[sandbox.id] = sandbox
        try:
            sandbox.furnish(spec)
        except BaseException:
            sandbox.kill()
            raise
        return sandbox

    def close(self) -> None:
        with self._lock:
            owned, self._owned = self._owned, {}
        left = [one for one in owned.values() if not one.released and not one.killed]
        for sandbox in left:
            sandbox.stop_run()
        patience = CLOSE_SECONDS
        try:
            if len(left) == 1 and not left[0].end(CLOSE_SECONDS):
                patience = 0.0
        finally:  # the end of the pipe is the order to kill everything that was not released
            self.guard.close(patience)

    def _prepare(self) -> None:
        if not self._credentials.api_key.strip():
            raise AuthenticationFailed("no E2B key")
        with self._lock:
            if self._introduced:
                return
            # Both take their time, so side by side: the reaper's start and the SDK's import.
            self.guard.start()
            # The import is not for the caller's thread: a signal's exception that is raised in the
            # depths of the import system may be swallowed there, and the signal with it.
            with translated_errors(self._credentials.api_key):
                url = call(
                    lambda: sdk.load(self._credentials), deadline=LOAD_SECONDS, name="loading"
                )
            self.guard.introduce(url, self._credentials.api_key)
            self._introduced = True

    def _marks(self, token: str) -> dict[str, str]:
        return {
            "e2brun": __version__,
            "e2brun_run": self._run_id,
            "e2brun_create": token,
            "e2brun_host": socket.gethostname(),
            "e2brun_pid": str(os.getpid()),
            OWNER: owner_mark(),
        }

    def _create(self, spec: SandboxSpec, token: str) -> sdk.Native:
        def once() -> sdk.Native:
            self.guard.tell("creating", token)
            try:
                native = sdk.create(self._credentials, spec, token)
            except Exception as error:
                self.guard.tell("nothing" if sdk.created_nothing(error) else "lost", token)
                raise
            # Told by the thread that learns it: the one that waits may have been interrupted.
            if _SANDBOX_ID.fullmatch(str(native.sandbox_id)):
                self.guard.tell("own", str(native.sandbox_id), token)
                return native
            raise SandboxUnavailable("E2B's answer has no usable sandbox id")

        try:
            with translated_errors(self._credentials.api_key, otherwise=SandboxUnavailable):
                return self._backoff.call(
                    lambda: call(once, deadline=sdk.REQUEST_SECONDS + 30, name="creating")
                )
        except SandboxLost as error:
            raise SandboxUnavailable(f"E2B did not answer: {error}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = "E2B's answer to the request for a sandbox makes no sense"
            raise SandboxUnavailable(message) from error


def _check(spec: SandboxSpec) -> None:
    if spec.python is not None:
        message = "an E2B sandbox takes no --python"
        raise Unsupported(message, hint="Name a template that has it, or run with --on local.")
    if spec.limits != Limits():
        message = "an E2B sandbox takes no --memory, --disk or --processes"
        raise Unsupported(message, hint=FIXED_LIMITS)
