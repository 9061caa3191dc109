"""Programs of the service: by user, with pipes or on a terminal of their own.

`start` is told cwd, user and whether the one descriptor is a `terminal`; else they become 0, 1
and 2. `program` is a marshalled (argv, env), or empty where the last descriptor is a file with it.
"""

from __future__ import annotations

import os

from ..child import detach, give_up
from . import privileges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


def start(agent: Any, request: dict[str, Any], descriptors: list[int]) -> None:
    """Start a program. Raises OSError; what fails in the child is reported as "step: text"."""
    import marshal

    program = request["program"]
    if not program:
        with open(descriptors.pop(), "rb") as file:
            program = file.read()
    request["argv"], request["env"] = marshal.loads(program)
    # As at E2B: setsid(1) would leave whoever leads a group, and say nothing of its program's end.
    # A signal for all of pid 1's group is none for pid 1, which the kernel keeps from its own.
    request["leads"] = request["terminal"]
    standard = descriptors * 3 if request["terminal"] else descriptors

    def child(report: int) -> NoReturn:
        become(agent, request, standard, report)

    agent.start(request["id"], child)


def terminals(agent: Any, request: dict[str, Any], _descriptors: list[int]) -> None:
    """Hand over the door to our terminals. The host opens them: whoever in here had the other end
    of one as well could make the host wait for it."""
    door = os.open("/dev/pts/ptmx", os.O_PATH | os.O_CLOEXEC)
    agent.hand(request["id"], door)
    os.close(door)


def become(agent: Any, request: dict[str, Any], descriptors: list[int], report: int) -> NoReturn:
    """In a forked child: become the program, or write to `report` why not."""
    step = "start"
    try:
        kept = agent.root_namespace
        if kept >= 0:  # out of the way of what is closed
            descriptors = [*descriptors, kept]
        report = detach(descriptors, report, leads=request["leads"])
        if request["terminal"]:
            _control(0)
        if kept >= 0:
            agent.root_namespace = len(descriptors) - 1
        privileges.assume(agent, request["user"])
        if kept >= 0:
            os.close(len(descriptors) - 1)
        step = "cwd"
        os.chdir(request["cwd"])
        step = "exec"
        _execute(request["argv"], request["env"])
    except BaseException as error:
        give_up(report, step, error)
    finally:
        os._exit(127)


def _execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    # Not os.execvpe: it would import a module in every child.
    name = argv[0]
    if "/" in name:
        os.execve(name, argv, env)
    problem: OSError = FileNotFoundError(2, "No such file or directory")
    for directory in env.get("PATH", "/usr/bin:/bin").split(":"):
        try:
            os.execve(os.path.join(directory, name), argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            problem = error
    raise problem


def _control(terminal: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
