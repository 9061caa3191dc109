"""Templates of the user's own, as `serve --state` keeps them, for sandboxes without a service.

Their files, packages, environment and what they start are as in the service. There is one user,
and programs start in the home directory unless told otherwise, as with any other template.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from e2brun.errors import FileTransferFailed, SandboxUnavailable, UsageError
from e2brun.sandbox.contract import Program, SandboxSpec
from e2brun.sandbox.local import templates as built_in
from e2brun.sandbox.local.blocking import transfer
from e2brun.sandbox.local.blocking.sandbox import LocalSandbox
from e2brun.sandbox.local.registered import RegisteredTemplates
from e2brun.sandbox.local.template_setup import Setup

_READY_SECONDS = 300.0
_SHOWN = 20
# What is to start is $1, what succeeds once it is up $2.
_START = """
[ -z "$1" ] || { setsid /bin/bash -l -c "$1" </dev/null >/dev/null 2>&1 & started=$!; }
[ -n "$2" ] || exit 0
until /bin/bash -l -c "$2" </dev/null >/dev/null 2>&1; do
  if [ -n "$started" ] && ! kill -0 "$started" 2>/dev/null; then
    wait "$started" || exit 1
    started=
  fi
  sleep 0.25
done
"""


@dataclass(frozen=True, slots=True)
class OwnTemplate:
    """One that was built; `tree`: the file with its files, None: those of its base."""

    name: str
    setup: Setup
    tree: Path | None

    def applied(self, spec: SandboxSpec) -> SandboxSpec:
        """`spec` with what the template brings."""
        env = {**self.setup.place.environment, **spec.env}
        named, more = built_in.parted(self.setup.packages)
        wants, install = (*named, *spec.wants), (*more, *spec.install)
        return spec.but(
            env=env,
            wants=tuple(dict.fromkeys(wants)),
            install=tuple(dict.fromkeys(install)),
            python=spec.python or self.setup.python or None,
        )

    def furnish(self, sandbox: LocalSandbox) -> None:
        """Put its files in place and start what it starts. Raises SandboxUnavailable."""
        if self.tree is not None:
            try:
                transfer.restore(sandbox, self.tree)
            except FileTransferFailed as error:
                why = f"its files do not get into the sandbox: {error}"
                raise SandboxUnavailable(f"template {self.name}: {why}") from error
        setup, lines = self.setup, _START
        if sandbox.jail.directories:  # in the place of which the template's files are now
            lines = f"mkdir -p {shlex.join(sandbox.jail.directories)}\n{lines}"
        elif not setup.start and not setup.ready:
            return
        words = ("/bin/bash", "-c", lines, "template", setup.start, setup.ready)
        cwd = setup.place.cwd if setup.start or setup.ready else None
        ended = sandbox.run_program(
            Program(words, cwd=cwd),
            timeout=_READY_SECONDS,
            stdout=lambda _: None,  # what a template starts says nothing to anybody
            stderr=lambda _: None,
        )
        if ended.exit_code:
            why = ended.detail or "its start command failed"
            raise SandboxUnavailable(f"template {self.name}: what it starts is not ready: {why}")


def find(name: str, directory: Path) -> OwnTemplate:
    """The ready build of this name (and tag) in a service's state directory. Raises UsageError."""
    registered = RegisteredTemplates.of(directory)
    if registered is not None and (found := registered.ready(name)) is not None:
        _, made, tree = found
        return OwnTemplate(name, made.setup, tree)
    known = sorted(one.name for one in registered.templates.values()) if registered else []
    names = [template.name for template in built_in.TEMPLATES] + known
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    told = ", ".join((*names[:_SHOWN], *more))
    raise UsageError(
        f"there is no template {name[:100]!r} here: there are {told}",
        hint=f"Own ones are those that `e2brun serve --state {directory}` has built; "
        "E2BRUN_SERVE_STATE names another directory.",
    )
