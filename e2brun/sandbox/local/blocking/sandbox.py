"""One embedded sandbox, as the host sees it: the `Sandbox` contract over the agent."""

from __future__ import annotations

import os
from _thread import allocate_lock
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.errors import SandboxError, SandboxLost, Unsupported
from e2brun.sandbox import endings
from e2brun.sandbox.contract import (
    HOME,
    Execution,
    FileEntry,
    KernelSpec,
    Outcome,
    Program,
    Result,
    SandboxSpec,
    Sink,
    Upload,
    absolute,
)
from e2brun.sandbox.local.blocking.exclusive import Exclusive
from e2brun.sandbox.local.host.control import Control
from e2brun.sandbox.local.host.streams import Inlet, Outlet
from e2brun.sandbox.local.isolation.driver import INDEX_PORT, Jail, Jailed, has_ended
from e2brun.sandbox.local.isolation.environment import (
    CGROUPS,
    environment_as_asked,
    resource_limits,
)

if TYPE_CHECKING:
    from pathlib import Path

    from e2brun.sandbox.local.blocking.cells import CellContext
    from e2brun.sandbox.local.blocking.supervisor import Supervisor
    from e2brun.sandbox.local.interpreter import Interpreter
    from e2brun.sandbox.local.memory.watch import MemoryWatch

    # Where packages come from: requirements, for which Python, seconds it may take.
    Layer = Callable[[Sequence[str], Interpreter, float], Path]
    # Has the host answer at a socket of the sandbox's, until what is returned is closed.
    Admit = Callable[[int], int]

_MUCH = 64 << 20  # bytes
_AGENT_PATIENCE = 1.0  # after the time limit, which is the host's to keep


class LocalSandbox:
    """The agent behind its control socket, and the limits the host keeps for it."""

    backend = "local"

    def __init__(
        self,
        jail: Jail,
        spec: SandboxSpec,
        control: Control,
        jailed: Jailed,
        layer: Layer,
        admit: Admit | None,
    ) -> None:
        self.id = jail.sandbox_id
        self.template = spec.template or "python"
        self.jail = jail
        self.control = control
        self.jailed = jailed
        self._spec, self._layer, self._admit = spec, layer, admit
        self._watch: MemoryWatch | None = None
        self._contexts: dict[tuple[str, str], CellContext] = {}
        self._killed = self._limited = False
        self._first_kill = allocate_lock()
        self._turns = Exclusive(self._tidy)
        self.forget: Callable[[str], object] = lambda _: None  # told its id when it is killed
        # Called with a pidfd of its first process, which was killed, and what there was to kill.
        self.wait_for_end: Callable[[int], object] = has_ended
        control.hold("limit", limits=resource_limits(jail))
        self._listening = control.request("listen", port=INDEX_PORT) if admit is not None else 0
        if jail.online:  # before anything is asked of it
            self._plug_in()

    def _plug_in(self) -> None:
        from e2brun.sandbox.local.isolation.slirp4netns import Uplink

        number = self.control.request("network")
        try:
            self.watch()
            with closing(Uplink(self.jailed, self.control.handed(number))) as uplink:
                uplink.wait()
        except BaseException:
            self.kill()
            raise

    @contextmanager
    def _turn(self) -> Generator[None]:
        """Ours alone; and where it gets a cgroup, not before it is in it: no process that was
        started earlier would be, and no memory that was taken."""
        with self._turns.turn():
            if self._watch is None and os.path.exists(CGROUPS):
                from e2brun.sandbox.local.memory.cgroup import delegated

                with suppress(SandboxLost):  # who asks for something is told
                    if delegated() is not None:
                        self.watch()
            yield

    def run_program(
        self, program: Program, *, timeout: float | None, stdout: Sink, stderr: Sink
    ) -> Execution:
        with self._turn():
            return self._run(program, timeout, (stdout, stderr))

    def _run(self, program: Program, timeout: float | None, sinks: tuple[Sink, Sink]) -> Execution:
        from e2brun.sandbox.local.blocking import transfer

        for upload in program.files:
            transfer.send(self, upload, acknowledge=False)
        argv = None
        if program.tells_end:
            from e2brun.sandbox.completion import watched

            argv = watched(program.argv)
        outlets, inlet = (Outlet(sinks[0]), Outlet(sinks[1])), Inlet(program.stdin)
        ends = (inlet, *outlets)
        try:
            try:
                number = self.control.request(
                    "run",
                    (inlet.read, *(outlet.write for outlet in outlets)),
                    argv=list(argv or program.argv),
                    tells_end=argv is not None,
                    cwd=absolute(program.cwd or HOME),
                    env=self.environment(program.env),
                    cpu=_cpu_seconds(timeout),
                    seconds=0 if timeout is None else timeout + _AGENT_PATIENCE,
                )
            finally:
                for end in ends:
                    end.give_away()
            # Not before: it is imported while the program starts.
            from e2brun.sandbox.local.blocking.supervisor import Supervisor

            following = Supervisor(
                self.control, number, outlets=outlets, inlet=inlet, end_sandbox=self.jailed.end
            )
            return self.follow(following, timeout, agent_knows=True)
        finally:
            for end in ends:
                end.close()

    def follow(
        self, following: Supervisor, timeout: float | None, *, agent_knows: bool = False
    ) -> Execution:
        """Follow a run to its end and say how it ended. `agent_knows`: of the time limit."""
        started = monotonic()
        try:
            watch = self.watch()
            started = monotonic()
            told = None if agent_knows else timeout
            if told is not None:
                self.control.request("deadline", seconds=told + _AGENT_PATIENCE)
            following.follow(watch, timeout)
            if told is not None:
                self.control.request("deadline", seconds=0)
        except SandboxLost as error:
            self._limited = following.verdict is not None
            outcome = Outcome.KILLED if self._killed else following.verdict or Outcome.LOST
            return Execution(
                outcome,
                execution_time=monotonic() - started,
                detail=self._why(outcome, timeout, error),
            )
        elapsed = monotonic() - started
        if following.verdict is not None:
            self._limited = True
            detail = self._why(following.verdict, timeout, None)
            return Execution(following.verdict, execution_time=elapsed, detail=detail)
        return _ended(following, elapsed)

    def run_cell(
        self,
        code: str,
        *,
        timeout: float | None,
        stdout: Sink,
        stderr: Sink,
        on_result: Callable[[Result], None] | None = None,
        kernel: KernelSpec | None = None,
    ) -> Execution:
        from e2brun.sandbox.local.blocking.cells import CellContext
        from e2brun.sandbox.local.host import languages

        kernel = kernel or KernelSpec()
        name = languages.normalised(kernel.language)
        with self._turn():
            language = languages.find(name if kernel.cwd else languages.default_context(name))
            if language is None:
                raise Unsupported(f"no kernel for {name[:40]!r}")
            key = language.name, absolute(kernel.cwd or HOME)
            context = self._contexts.get(key)
            if context is None or not context.alive:
                context = CellContext(
                    self.control, self.jail, language, key[1], self.environment({})
                )
                self._contexts[key] = context
            return context.run(self, code, timeout, (stdout, stderr), on_result, name)

    def write_files(self, files: Sequence[Upload]) -> None:
        from e2brun.sandbox.local.blocking import transfer

        with self._turn():
            for upload in files:
                transfer.send(self, upload, acknowledge=True)

    def read_file(self, path: str) -> Iterator[bytes]:
        from e2brun.sandbox.local.blocking import transfer

        with self._turn():
            yield from transfer.receive(self, path)

    def list_files(self, path: str) -> list[FileEntry]:
        from e2brun.sandbox.local.blocking import transfer

        with self._turn():
            return transfer.entries(self, path)

    def install(self, requirements: Sequence[str]) -> None:
        """Copy a layer into the user's own site-packages; see the contract."""
        from e2brun.sandbox.local.blocking import transfer

        timeout = self._spec.install_timeout
        transfer.copy_layer(self, self._layer(requirements, self.jail.interpreter, timeout))

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """What a program in here finds in its environment."""
        return {**environment_as_asked(self.jail, self._spec), **more}

    def take_context(self, context: CellContext) -> None:
        """One for Python at home, which was started before anybody asked for this sandbox."""
        if context.environment == self.environment({}):
            self._contexts["python", HOME] = context
        else:
            context.close()

    def watch(self) -> MemoryWatch:
        """Wait until the agent is up. Raises SandboxUnavailable with the driver's reason."""
        if self._watch is None:
            from e2brun.sandbox.local.memory.watch import MemoryWatch  # while it comes up

            hello = self.control.greet()
            try:
                self.jailed.greeted(hello.pid)
            except OSError as error:
                raise SandboxLost("the sandbox went away as it started") from error
            if self._killed:  # before there was anybody to kill: a forked one has no other end
                self.jailed.end()
            self._watch = MemoryWatch(hello.pid, self.jail.limits, hello.views)
            if self._admit is not None:
                listener = self.control.handed(self._listening)
                self.jailed.lifelines.append(self._admit(listener))
        return self._watch

    def kill(self) -> None:
        """Kill everything in it; `wait_for_end` sees the last process go."""
        if not self._first_kill.acquire(blocking=False):
            return
        self._killed = True
        self.jailed.end()
        if self.jailed.agent >= 0:
            wait = has_ended if self._may_hold_much() else self.wait_for_end
            wait(self.jailed.agent)
        self._turns.end()
        self.forget(self.id)

    def _may_hold_much(self) -> bool:
        """Whether the next sandbox's memory had better not come on top of what is to be freed."""
        return self._limited or (self._watch is not None and self._watch.in_files() > _MUCH)

    def _tidy(self) -> None:
        for context in self._contexts.values():
            context.close()
        self.control.close()
        self.jailed.reap()
        if self._watch is not None:
            self._watch.close()

    def release(self) -> None:
        """Not here: a local sandbox dies with its owner."""
        raise Unsupported("a local sandbox cannot outlive the command that made it")

    def _why(self, outcome: Outcome, timeout: float | None, error: SandboxError | None) -> str:
        match outcome:
            case Outcome.TIMEOUT:
                return endings.time_limit(timeout)
            case Outcome.OOM:
                hidden = self._watch is not None and self._watch.unexplained
                return endings.memory_limit(self.jail.limits.memory, hidden=hidden)
            case Outcome.KILLED:
                return endings.KILLED
            case _:
                return str(error or "")


def _ended(following: Supervisor, elapsed: float) -> Execution:
    exited = following.exited
    if exited is None:
        return Execution(Outcome.INFRASTRUCTURE, execution_time=elapsed)
    return endings.ended(
        exited.code,
        exited.signal,
        elapsed=elapsed,
        peak=exited.peak or None,
        completed=exited.completed,
    )


def _cpu_seconds(timeout: float | None) -> int:
    """More than a program can use in its time on every core: the clock comes first."""
    return 0 if timeout is None else int(timeout + 1) * (os.cpu_count() or 1) + 2
