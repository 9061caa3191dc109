"""The first process of every sandbox: starts programs, moves files, reports ends.

Pid 1 of its namespace, so nothing inside can signal it to death; not dumpable, so nothing
inside can read or write its memory or reopen its descriptors. Speaks over one SOCK_SEQPACKET
socket: from the host come marshalled dictionaries (the host is trusted), to the host go NUL
separated fields (it trusts nothing of ours). Imports are counted in milliseconds here: every
sandbox pays them.
"""

from __future__ import annotations

import _socket  # the C modules: `signal` and `socket` would import enum, 3 ms and more
import errno
import marshal
import os
import resource
import select
import sys
from time import monotonic

from .child import confine, detach, exit_code, give_up, limit, prctl
from .descriptors import hand_over, ready, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any, NoReturn

    Request = dict[str, Any]
else:
    import _signal

warm: Any = None  # what goes on as a program, without a start; where there is such a thing (`warm`)
MESSAGE_LIMIT = 160 * 1024  # below the kernel's default socket buffer, fds and all
_PR_SET_DUMPABLE = 4
_STARTING_SECONDS = 10.0  # between a fork and its execve
# What a service asks for beyond one run; each module has a function of the operation's name,
# called as `operation(agent, request, descriptors)`.
_OPERATIONS = {
    "start": "programs.processes",  # a program with users, groups of descriptors, or a terminal
    "terminals": "programs.processes",  # where the host opens a terminal of ours
    "write": "files.plain",  # a file from the message itself, or from a pipe
    "read": "files.plain",  # a regular file into a pipe
    "names": "files.plain",  # those of a directory into a pipe
    "files": "files.server",  # a process of its own that works on files
    "restore": "files.server",  # another that puts a template's files in place
    "context": "kernels.contexts",  # a code-interpreter context
    "port": "programs.ports",  # a connection to a port inside
    "listen": "programs.ports",  # a port inside that the host answers
    "network": "programs.ports",  # the namespace of that name
    "health": "programs.health",  # answers at the code interpreter's port
    "demand": "programs.demand",  # lets Pythons ask for packages of the template
    "placed": "programs.demand",  # the answer
    "freeze": "programs.freezer",
    "thaw": "programs.freezer",
}


def serve(
    control_fd: int,
    root_namespace: int = -1,
    user_filter: bytes = b"",
    root_filter: bytes = b"",
    views: tuple[int, ...] = (),
    first_files: dict[str, bytes] | None = None,
) -> NoReturn:
    """Obey the host until it goes away; then everything here dies with pid 1.

    `root_namespace` is a user namespace in which the only user is called root (-1: there is
    none); the filters are seccomp programs that everything not ours gets before it runs;
    `views` are descriptors of our /proc, home and /dev/shm for the host, which cannot open them;
    `first_files` are what there is from the start in a root that can be written.
    """
    control = _socket.socket(fileno=control_fd)
    os.set_inheritable(control_fd, False)  # every other descriptor of ours is made close-on-exec
    _hide_memory()
    os.umask(0o022)
    _make_user_site()
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGCHLD, _wake)
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    hand_over(control, [b"hello"], list(views))
    for view in views:
        os.close(view)
    agent = Agent(control)
    agent.root_namespace, agent.user_filter = root_namespace, user_filter
    agent.root_filter, agent.first_files = root_filter, first_files or {}
    if root_namespace >= 0:
        from .root import sudo_socket

        sudo_socket.listen(agent)
    waiting = agent.waiting
    waiting.register(control_fd, select.POLLIN)
    waiting.register(wake_read, select.POLLIN)
    while True:
        for descriptor, _ in waiting.poll(agent.milliseconds_left()):
            if descriptor == wake_read:
                os.read(wake_read, 4096)
                agent.reap()
            elif descriptor in agent.listeners:
                agent.listeners[descriptor]()
            elif not agent.obey():
                os._exit(0)
        agent.keep_deadline()


def _hide_memory() -> None:
    """PR_SET_DUMPABLE 0: /proc/1/{mem,fd,environ,maps} belong to nobody inside (prctl(2))."""
    try:
        prctl(_PR_SET_DUMPABLE, 0)
    except OSError:
        os._exit(125)


def _kill_all() -> None:
    try:
        os.kill(-1, _signal.SIGKILL)
    except ProcessLookupError:
        pass


def _wake(_number: int, _frame: object) -> None:
    """A handler there must be, or the kernel tells nobody; the wake-up pipe is what counts."""


def _make_user_site() -> None:
    """There from the start, so that every Python has it on its path when packages come later."""
    major, minor = sys.version_info[:2]
    place = "/home/user"
    for name in (".local", "lib", f"python{major}.{minor}", "site-packages"):
        place += f"/{name}"
        try:  # contextlib costs 2 ms of every sandbox's start
            os.mkdir(place)
        except FileExistsError:
            pass


class Agent:
    """What the host can ask for, one method an operation."""

    def __init__(self, control: _socket.socket) -> None:
        self.control = control
        self.programs: dict[int, int] = {}  # pid -> run number
        self.completions: dict[int, Any] = {}  # by run number
        self.errands: dict[int, Callable[[int], None]] = {}  # pid -> told its wait status
        self.waiting = select.poll()
        self.listeners: dict[int, Callable[[], None]] = {}  # more descriptors of `waiting`
        self.failed_write = ""
        self.deadline, self.unwanted = 0.0, False
        self.timed = 0  # the run whose end takes the deadline away
        self.root_namespace, self.user_filter, self.root_filter = -1, b"", b""
        self.first_files: dict[str, bytes] = {}
        self.warm = warm
        self.unwinding: tuple[type[BaseException], ...] = warm.unwinding if warm else ()

    def milliseconds_left(self) -> float | None:
        """How long to wait for the host; None: for ever."""
        return max(0.0, self.deadline - monotonic()) * 1000 if self.deadline else None

    def keep_deadline(self) -> None:
        """The host keeps the time; should it be stuck (a reader of its output that has stopped),
        nothing runs longer all the same."""
        if self.deadline and monotonic() >= self.deadline:
            self.deadline = 0.0
            if self.unwanted:
                os._exit(0)
            _kill_all()

    def obey(self) -> bool:
        """Take one message; False when the host is gone."""
        message, descriptors = received(self.control, MESSAGE_LIMIT + 4096, 8)
        if not message:
            return False
        request = marshal.loads(message)
        for earlier in request.get("before", ()):
            self._meet(earlier, [])
        try:
            self._meet(request, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _meet(self, request: Request, descriptors: list[int]) -> None:
        try:
            self._operation(request["do"])(request, descriptors)
        except OSError as error:
            if request.get("needed"):
                self.failed_write = self.failed_write or error.strerror or "failed"
            self.tell("failed", request["id"], error.errno or 0, error.strerror or "failed")
        except (ValueError, TypeError, OverflowError) as error:  # a NUL in a path, and the like
            self.tell("failed", request["id"], errno.EINVAL, str(error))

    def _operation(self, name: str) -> Callable[[Request, list[int]], None]:
        if name not in _OPERATIONS:
            operation: Callable[[Request, list[int]], None] = getattr(self, "do_" + name)
            return operation
        module = __import__(f"{__package__}.{_OPERATIONS[name]}", fromlist=["*"])
        return lambda request, descriptors: getattr(module, name)(self, request, descriptors)

    def tell(self, *fields: object) -> None:
        """Send one report."""
        encoded = "\0".join(str(field).replace("\0", " ") for field in fields)
        try:
            self.control.send(encoded.encode("utf-8", "replace")[:4096])
        except OSError:
            os._exit(0)  # nobody is left to tell

    def hand(self, number: int, descriptor: int) -> None:
        """Answer a request with a descriptor."""
        hand_over(self.control, [b"handed\0%d" % number], [descriptor])

    def reap(self) -> None:
        """Collect every child that ended: programs are reported, orphans just go."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.errands:
                self.errands.pop(pid)(status)
            number = self.programs.pop(pid, None)
            if number is not None:
                code = exit_code(status)
                completion = self.completions.pop(number, None)
                completed = "" if completion is None else int(completion.saw())
                self.tell("exit", number, max(code, 0), max(-code, 0), usage.ru_maxrss, completed)
                if self.timed == number:
                    self.deadline = 0.0

    def do_limit(self, request: Request, _descriptors: list[int]) -> None:
        """Hard limits for this process and all it starts; nothing here can raise them again."""
        limit(request["limits"])

    def do_run(self, request: Request, descriptors: list[int]) -> None:
        """Start a program; `descriptors` become its 0, 1, 2, ..."""
        if self.failed_write:
            self.tell("failed", request["id"], 0, self.failed_write)
            self.failed_write = ""
            return
        number = request["id"]
        if request.get("tells_end"):
            from .programs import completion

            self.completions[number] = asked = completion.Completion()
            descriptors.append(asked.given.detach())  # closed with the others
        if self.launch(number, lambda report: self.become(request, descriptors, report)):
            self.timed = number
            self.do_deadline(request, [])

    def launch(self, number: int, become: Callable[[int], NoReturn]) -> int:
        """Fork a child that becomes a program; its pid, once it has. Or say that it failed, with
        the "errno text" it wrote to the descriptor `become` is called with: 0."""
        read, write = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()
        except OSError:
            os.close(read)
            os.close(write)
            raise
        if pid == 0:
            become(write)
        os.close(write)
        if not ready(read, _STARTING_SECONDS):  # somebody inside has stopped it
            os.kill(pid, _signal.SIGKILL)
        problem = os.read(read, 4096).decode("utf-8", "replace")
        os.close(read)
        if problem:
            os.waitpid(pid, 0)
            code, text = problem.split(" ", 1)
            self.tell("failed", number, code, text)
            return 0
        self.programs[pid] = number
        return pid

    def start(self, number: int, become: Callable[[int], NoReturn]) -> None:
        """`launch`, and say that it has started."""
        pid = self.launch(number, become)
        if pid:
            self.tell("started", number, pid)

    def become(self, request: Request, descriptors: list[int], report: int) -> NoReturn:
        """In the child: the program, with `descriptors` as its own."""
        try:
            report = detach(descriptors, report, leads=True)
            if request["cpu"]:
                # Should nobody be left to look at the clock: SIGXCPU, a second later SIGKILL.
                resource.setrlimit(resource.RLIMIT_CPU, (request["cpu"], request["cpu"] + 1))
            os.chdir(request["cwd"])
            confine(self.user_filter)
            if self.warm is not None and self.warm.fits(request):
                descriptors.clear()  # their numbers are others by now
                self.control.detach()
                for asked in self.completions.values():
                    asked.let_go()
                self.warm.begin(report, request)
            os.execvpe(request["argv"][0], request["argv"], request["env"])
        except self.unwinding:
            raise
        except BaseException as error:
            try:
                where = getattr(error, "filename", None) or request["argv"][0]
                give_up(report, os.fsdecode(where), error)
            finally:
                os._exit(127)

    def do_signal(self, request: Request, _descriptors: list[int]) -> None:
        """A signal for the program of one run, if it is still there."""
        for pid, number in self.programs.items():
            if number == request["run"]:
                os.kill(pid, request["signal"])

    def do_halt(self, request: Request, _descriptors: list[int]) -> None:
        """Kill every process here but this one, all at once (kill(2), pid -1)."""
        _kill_all()
        self.tell("halted", request["id"])

    def do_deadline(self, request: Request, _descriptors: list[int]) -> None:
        """Kill everything so many seconds from now, and `leave` as well; 0: never."""
        seconds = request["seconds"]
        self.deadline = monotonic() + seconds if seconds else 0.0
        self.unwanted = request.get("leave", False)
