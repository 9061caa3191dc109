"""A driver and a jail become a sandbox; its host's side is read while the rest comes up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2brun.sandbox.contract import SandboxSpec
from e2brun.sandbox.local.host.control import Control
from e2brun.sandbox.local.isolation.driver import Driver, Jail

if TYPE_CHECKING:
    from e2brun.sandbox.local.blocking.sandbox import Admit, Layer, LocalSandbox
    from e2brun.sandbox.local.blocking.spare import Spare


def start(
    driver: Driver,
    jail: Jail,
    spec: SandboxSpec,
    layer: Layer,
    spare: Spare | None = None,
    admit: Admit | None = None,
) -> LocalSandbox:
    """One sandbox, which its caller kills: `spare`, where there is one; `admit`: who answers for
    package indexes. Raises SandboxError."""
    context = None
    if spare is not None:
        jail, (control, jailed, context) = spare.jail, spare.take()
    else:
        control = Control()
        jailed = control.start(driver, jail)
    # Not before: it is imported while the sandbox starts on the other core.
    from e2brun.sandbox.local.blocking.sandbox import LocalSandbox

    try:
        sandbox = LocalSandbox(jail, spec, control, jailed, layer, admit)
        if context is not None:
            sandbox.take_context(context)
        return sandbox
    except BaseException:
        jailed.end()
        control.close()
        jailed.reap()
        raise
