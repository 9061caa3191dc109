"""One run, followed from its start to its end: output, input, clock, memory."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from signal import SIGTERM
from time import monotonic

from e2brun.errors import FileTransferFailed, SandboxError, SandboxLost
from e2brun.sandbox import endings
from e2brun.sandbox.contract import Outcome
from e2brun.sandbox.local.host.control import Control, Exited, Report, RequestFailed, let_go
from e2brun.sandbox.local.host.streams import Inlet, Outlet
from e2brun.sandbox.local.memory.watch import INTERVAL, MemoryWatch

_GRACE_SECONDS = 0.5  # between SIGTERM and SIGKILL
_RELIEF_SECONDS = 0.1  # after which memory is to be free again, or the sandbox goes
_HALT_SECONDS = 1.0  # for the agent to kill everything, before we kill the agent
_HANG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Supervisor:
    """Moves bytes and keeps the limits until the run ends, or something else says it has."""

    def __init__(
        self,
        control: Control,
        number: int,
        *,
        outlets: Sequence[Outlet],
        inlet: Inlet,
        end_sandbox: Callable[[], None],
    ) -> None:
        self._control, self._number = control, number
        self._outlets = {outlet.read: outlet for outlet in outlets}
        self._inlet = inlet
        self._end_sandbox = end_sandbox
        self._waiting_for: tuple[int, bool] | None = None
        self._next_step = self._expire
        self._deadline = self._out_of_memory_at = float("inf")
        self._poll = select.poll()
        self._poll.register(control.descriptor, select.POLLIN)
        for descriptor in self._outlets:
            self._poll.register(descriptor, select.POLLIN)
        self.exited: Exited | None = None
        self.verdict: Outcome | None = None
        self.ask_to_end: Callable[[], object] = lambda: control.request(
            "signal", run=number, signal=int(SIGTERM)
        )
        self.finished: Callable[[], bool] = lambda: False  # a cell ends without an exit

    def follow(self, watch: MemoryWatch, timeout: float | None) -> None:
        """Return when the run has ended. Raises SandboxLost, SandboxError (never started)."""
        started = monotonic()
        if timeout is not None:
            self._deadline = started + timeout
        look = started + INTERVAL
        while self.exited is None and not self.finished():
            now = monotonic()
            if now >= self._deadline:
                self._next_step()
            elif now >= look:
                self._look_at_memory(watch, now)
                look = monotonic() + INTERVAL
            self._turn(min(self._deadline, look) - monotonic())
        if self.verdict is None and watch.killed():
            self.verdict = Outcome.OOM
        for outlet in tuple(self._outlets.values()):
            outlet.drain()

    def _turn(self, seconds: float) -> None:
        """Wait until something is ready, at most so long, and move it."""
        self._watch_inlet()
        for descriptor, events in self._poll.poll(max(0.0, seconds) * 1000):
            if descriptor == self._control.descriptor:
                self._hear(self._control.receive(0))
            elif (outlet := self._outlets.get(descriptor)) is not None:
                if outlet.open:
                    outlet.pump()
                if not outlet.open:
                    self._poll.unregister(descriptor)
                    del self._outlets[descriptor]
            elif events & _HANG_UP and not events & (select.POLLIN | select.POLLOUT):
                self._inlet.close()
            else:
                self._inlet.pump()

    def _watch_inlet(self) -> None:
        wanted = self._inlet.waits_for
        if wanted == self._waiting_for:
            return
        if self._waiting_for is not None:
            self._poll.unregister(self._waiting_for[0])
        if wanted is not None:
            self._poll.register(wanted[0], select.POLLOUT if wanted[1] else select.POLLIN)
        self._waiting_for = wanted

    def _hear(self, report: Report | None) -> None:
        match report:
            case Exited(number=self._number):
                self.exited = report
            case RequestFailed(
                number=self._number, errno=0
            ):  # the agent's refusal, not the kernel's
                raise FileTransferFailed(endings.not_in_place(report.text))
            case RequestFailed(number=self._number):
                raise SandboxError(endings.not_started(report.text))
            case None:
                pass
            case _:
                let_go(report)

    def _expire(self) -> None:
        """The time is up: ask it to end, ..."""
        self.verdict = Outcome.TIMEOUT
        self.ask_to_end()
        self._then(self._halt, _GRACE_SECONDS)

    def _look_at_memory(self, watch: MemoryWatch, now: float) -> None:
        if self.verdict is None and watch.exceeded():
            self.verdict, self._out_of_memory_at = Outcome.OOM, now
            self._halt()
        elif now - self._out_of_memory_at > _RELIEF_SECONDS:
            why = watch.unexplained  # of the look that ended it, which is what will be told
            if watch.exceeded():
                self._out_of_memory_at = float("inf")
                self._give_up()
            watch.unexplained = why

    def _halt(self) -> None:
        """... have everything in the sandbox killed, ..."""
        self._control.request("halt")
        self._then(self._give_up, _HALT_SECONDS)

    def _give_up(self) -> None:
        """... and if even that does not end it, end the sandbox."""
        self._end_sandbox()
        self._then(self._despair, _HALT_SECONDS)

    def _despair(self) -> None:
        raise SandboxLost("the sandbox could not be ended")

    def _then(self, step: Callable[[], None], seconds: float) -> None:
        self._next_step = step
        self._deadline = monotonic() + seconds
