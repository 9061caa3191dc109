"""`sudo` inside a sandbox: no password, no rights gained, as far as one uid can imitate it.

Where root is a user of his own, pid 1 starts the command; elsewhere it is run from here, with
root's home directory and names.
"""

from __future__ import annotations

import _socket
import os
import sys

from ..child import exit_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any, NoReturn
else:
    import _signal

_HOMES = {"root": "/root", "user": "/home/user"}
_IDS = {"0": "root", "1000": "user"}
_VALUE_OPTIONS = "ugpChrtTUDR"  # of which only -u and -D matter here
_LONG = {
    "user": "u", "group": "g", "prompt": "p", "chdir": "D", "host": "h", "close-from": "C",
    "login": "i", "shell": "s", "set-home": "H", "non-interactive": "n", "stdin": "S",
    "background": "b", "validate": "v", "reset-timestamp": "k", "remove-timestamp": "K",
    "list": "l", "version": "V", "help": "?", "edit": "e", "preserve-groups": "P",
    "askpass": "A", "role": "r", "type": "t", "command-timeout": "T", "other-user": "U",
    "chroot": "R",
}  # fmt: skip
_KEPT = ("PATH", "LANG", "LC_ALL", "TERM", "COLUMNS", "LINES", "SHELL", "DISPLAY")
# Of which sandbox this is, and where packages come from and go to, if they may.
_KEPT_KINDS = ("E2B_", "PIP_", "UV_", "npm_config_", "pnpm_config_", "YARN_", "PYTHONUSERBASE")
_FORWARDED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGQUIT, _signal.SIGWINCH)
_ADDRESS = b"\0e2brun-sudo"
_USAGE = "usage: sudo [-EHiknSs] [-D directory] [-u user] [VAR=value] [-i | -s | command [arg ...]]"


class _Request:
    """What the command line asks for."""

    def __init__(self) -> None:
        self.user = "root"
        self.flags: set[str] = set()
        self.directory = ""
        self.preserved: list[str] = []
        self.variables: dict[str, str] = {}
        self.command: list[str] = []


def main() -> NoReturn:
    """Run the command line; ends with the command's exit code."""
    request = _parsed(sys.argv[1:])
    if "V" in request.flags:
        _say("Sudo version 1.9 (imitated by e2brun)")
    elif "l" in request.flags:
        _say("User user may run the following commands:\n    (ALL : ALL) NOPASSWD: ALL")
    elif "?" in request.flags:
        _say(_USAGE)
    idle = request.flags & set("kKv") and not request.command and not request.flags & set("is")
    if idle or request.flags & set("Vl?"):
        os._exit(0)
    argv = _command(request)
    _execute(request, argv, _environment(request))


def _say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


def _fail(text: str) -> NoReturn:
    os.write(2, f"sudo: {text}\n".encode(errors="replace"))
    os._exit(1)


def _parsed(words: list[str]) -> _Request:
    request = _Request()
    while words and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word == "--":
            break
        if word.startswith("--"):
            _long(request, word[2:], words)
        else:
            _short(request, word[1:], words)
    while words and "=" in words[0] and words[0].partition("=")[0].isidentifier():
        name, _, value = words.pop(0).partition("=")
        request.variables[name] = value
    request.command = words
    request.user = _IDS.get(request.user.lstrip("#"), request.user)
    if request.user not in _HOMES:
        _fail(f"unknown user {request.user}")
    return request


def _long(request: _Request, word: str, words: list[str]) -> None:
    name, given, value = word.partition("=")
    if name == "preserve-env":
        if given:
            request.preserved += value.split(",")
        else:
            request.flags.add("E")
        return
    letter = _LONG.get(name)
    if letter is None:
        _fail(f"unrecognized option '--{name}'\n{_USAGE}")
    if letter in _VALUE_OPTIONS:
        _option(request, letter, value if given else _argument(words, name))
    else:
        request.flags.add(letter)


def _short(request: _Request, letters: str, words: list[str]) -> None:
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in _VALUE_OPTIONS:
            _option(request, letter, letters or _argument(words, letter))
            return
        if letter not in "AbEeHiKklnPSsVv":
            _fail(f"invalid option -- '{letter}'\n{_USAGE}")
        request.flags.add(letter)


def _argument(words: list[str], name: str) -> str:
    if not words:
        _fail(f"option requires an argument -- '{name}'\n{_USAGE}")
    return words.pop(0)


def _option(request: _Request, letter: str, value: str) -> None:
    if letter == "u":
        request.user = value
    elif letter == "D":
        request.directory = value


def _command(request: _Request) -> list[str]:
    shell = "/bin/bash" if "i" in request.flags else os.environ.get("SHELL", "/bin/bash")
    if request.flags & set("is"):
        # As sudo does: one string for the shell, in which only plain characters stay as they are.
        line = " ".join(map(_escaped, request.command))
        login = ["-l"] if "i" in request.flags else []
        return [shell, *login, *(["-c", line] if line else [])]
    if not request.command:
        os.write(2, _USAGE.encode() + b"\n")
        os._exit(1)
    found = _found(request.command[0])
    if not found:
        _fail(f"{request.command[0]}: command not found")
    return [found, *request.command[1:]]


def _escaped(word: str) -> str:
    return "".join(c if c.isalnum() or c in "_-$" else "\\" + c for c in word)


def _found(name: str) -> str:
    if "/" in name:
        return name if os.path.isfile(name) and os.access(name, os.X_OK) else ""
    for directory in os.environ.get("PATH", "/usr/bin:/bin").split(":"):
        path = os.path.join(directory or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    for directory in ("/usr/local/sbin", "/usr/sbin", "/sbin"):
        if os.access(f"{directory}/{name}", os.X_OK):
            return f"{directory}/{name}"
    return ""


def _environment(request: _Request) -> dict[str, str]:
    ours = dict(os.environ)
    user = request.user
    if "E" in request.flags and "i" not in request.flags:
        environment = ours
        if "H" not in request.flags:
            environment.setdefault("HOME", _HOMES[user])
        else:
            environment["HOME"] = _HOMES[user]
    else:
        environment = {
            name: value
            for name, value in ours.items()
            if name in _KEPT or name in request.preserved or name.startswith(_KEPT_KINDS)
        }
        environment["HOME"] = _HOMES[user]
    return {
        **environment,
        "USER": user, "LOGNAME": user, "SUDO_USER": ours.get("USER", "user"),
        "SUDO_UID": "1000", "SUDO_GID": "1000",
        "SUDO_COMMAND": " ".join(request.command) or "/bin/bash",
        **request.variables,
    }  # fmt: skip


def _execute(request: _Request, argv: list[str], environment: dict[str, str]) -> NoReturn:
    directory = _HOMES[request.user] if "i" in request.flags else request.directory
    try:
        if directory:
            os.chdir(directory)
    except OSError as error:
        _fail(f"unable to change directory to {directory}: {error.strerror}")
    if "b" in request.flags and os.fork() != 0:
        os._exit(0)
    agent = None if request.user != "root" or os.geteuid() == 0 else _agent()
    try:
        if agent is None:
            os.execve(argv[0], argv, environment)
        _through(agent, request.user, argv, environment)
    except OSError as error:
        _fail(f"unable to execute {argv[0]}: {error.strerror}")


def _agent() -> _socket.socket | None:
    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        agent.connect(_ADDRESS)
    except OSError:
        agent.close()
        return None
    return agent


def _through(
    agent: _socket.socket, user: str, argv: list[str], environment: dict[str, str]
) -> NoReturn:
    words = [user, os.getcwd(), str(len(argv)), *argv]
    words += [f"{name}={value}" for name, value in environment.items()]
    descriptors = b"".join(number.to_bytes(4, "little") for number in (0, 1, 2))
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)]
    agent.sendmsg([os.fsencode("\0".join(words))], rights)
    _forward_signals(int(_report(agent, b"pid")))
    status = int(_report(agent, b"ended"))
    code = exit_code(status)
    if code < 0:  # die the same way, so that our caller sees it
        if -code not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(-code, _signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def _report(agent: _socket.socket, name: bytes) -> bytes:
    message = agent.recv(64)
    kind, _, value = message.partition(b"\0")
    if kind != name:
        _fail("the sandbox refused it: too many at once, or out of processes")
    return value


def _forward_signals(pid: int) -> None:
    def forward(number: int, _frame: Any) -> None:
        try:  # contextlib costs 2 ms of every start
            if number == _signal.SIGTERM:
                os.kill(pid, number)
            else:  # comes from the terminal, which would send it to the whole group
                os.killpg(pid, number)
        except OSError:
            pass

    for number in _FORWARDED:
        _signal.signal(number, forward)
