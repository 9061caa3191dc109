"""`main CELLS_FD FRAMES_FD`: run cells in one bash that keeps its state.

Cells and frames are those of `context.py`. A bash that leaves (`exit`, `set -e`, an interrupt)
is replaced by a new one with its variables, functions, aliases and directory.
"""

from __future__ import annotations

import os
import select
import sys
from time import monotonic

from ...child import exit_code
from ...descriptors import ready, write_all
from ..jsontext import frame_line, next_cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Mapping
else:
    import _signal  # the C module: `signal` would import enum, 3 ms and more

_MIB = 1024 * 1024
_PATIENCE = (0.5, 1.5)  # after an interrupt: until children are killed, until bash itself is
_KEPT = 128 * 1024  # bytes of each file, there even when the disk is full
_END = b"\nreturn 0\n"  # what stands behind it in the file is of another time
_ALL_SIGNALS = [n for n in range(1, 32) if n not in (_signal.SIGKILL, _signal.SIGSTOP)]

# Our ends of the pipes are opened by path, so that no program of a cell inherits them. HERE
# becomes /proc/PID/fd of this process.
_FUNCTIONS = r"""
__e2brun_env() {
  local value
  if [[ -v $1 ]]; then
    printf -v value %q "${!1}"
    [[ ${!1@a} == *x* ]] || __e2brun_after+="export -n $1;"
    __e2brun_after+="$1=$value;"
  else
    __e2brun_after+="unset -v $1;"
  fi
  export "$1=$2"
}
__e2brun_clean() {
  eval "${__e2brun_after-}"
  unset -v __e2brun_after
}
__e2brun_next() {
  local status=$? - go before IFS=$' \t\n'
  set +xveuCn; set +o posix
  __e2brun_clean 2>/dev/null
  builtin printf 'end %d\0' "$status" >HERE/STATUS
  builtin read -r go <HERE/GO || builtin exit 0
  { IFS= builtin read -r -d '' before; IFS= builtin read -r -d '' __e2brun_cell; } <HERE/CELL
  eval "$before" 2>/dev/null
  builtin true
}
__e2brun_leave() {
  local status=$? -
  set +xveuCn; set +o posix
  {
    __e2brun_clean
    unset -v __e2brun_cell
    declare -p; declare -f; alias -p; shopt -p; builtin printf 'cd -- %q\n' "$PWD"
    builtin echo return
  } 1<>HERE/STATE 2>/dev/null
  return "$status"
}
__e2brun_show() {
  local file
  file=$(mktemp) && cat >"$file" && builtin printf 'show %s %s\0' "$1" "$file" >HERE/STATUS
}
displayHTML() { __e2brun_show html; }
displayJS() { __e2brun_show javascript; }
display() { __e2brun_show image; }
trap __e2brun_leave EXIT
trap 'builtin exit 130' INT
"""
# At the top level, since in a function `declare` makes local variables; on the first line, since
# bash counts the lines of a cell from there. `continue` in a cell ends the cell, and `break` ends
# bash, as `exit` does.
_LOOP = """source STATE >/dev/null 2>&1; source CELL; \\
while { __e2brun_next; } 2>/dev/null; do eval "$__e2brun_cell"; done"""


class Bash:
    """One bash after the other; each takes over what the one before it left."""

    def __init__(self) -> None:
        go_read, self._go = os.pipe2(os.O_CLOEXEC)
        self.status, status = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._cell, self._state = _scratch_file(), _scratch_file()
        self._places = {
            "STATUS": status, "GO": go_read, "CELL": self._cell, "STATE": self._state
        }  # fmt: skip
        self._write(self._state, _END)
        self._environment = {**os.environ, "PAGER": "cat"}
        self._environment["NOTEBOOK_BASH_KERNEL_CAPABILITIES"] = "image,html,javascript"
        self.pid = self.ended = -1
        self.start()

    def start(self) -> None:
        """Start the next one. Its first report is a status that means nothing: it is ready."""
        here = f"/proc/{os.getpid()}/fd"
        functions, loop = _FUNCTIONS, _LOOP.replace("\\\n", "")
        for name, descriptor in self._places.items():
            functions = functions.replace(f"HERE/{name}", f"{here}/{descriptor}")
            loop = loop.replace(f"source {name}", f"source {here}/{descriptor}")
        self._write(self._cell, functions.encode() + _END)
        argv = ["bash", "--norc", "--noprofile", "-O", "expand_aliases", "-c", loop, "bash"]
        self.pid = os.posix_spawn(
            "/bin/bash", argv, self._environment, setpgroup=0,
            setsigmask=(), setsigdef=_ALL_SIGNALS,
        )  # fmt: skip
        self.ended = _pidfd_open(self.pid)

    def tell(self, code: str, env: Mapping[str, str]) -> None:
        """Hand over a cell."""
        before = "".join(
            f"__e2brun_env {name} {_quoted(value)}\n" for name, value in env.items() if _named(name)
        )
        code = code.replace("\0", "")
        self._write(self._cell, f"{before}\0{code}\0".encode("utf-8", "surrogateescape"))
        os.write(self._go, b"\n")

    def forget(self) -> int:
        """It has ended: its exit status, a signal as 128 + number."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.ended)
        code = exit_code(status)
        if code < 0:
            self._write(self._state, _END)  # it had no time to leave anything behind
        return code if code >= 0 else 128 - code

    def has_taken_over(self) -> None:
        """It has read what the one before left; should it leave nothing itself, nobody may."""
        self._write(self._state, _END)

    def signal(self, number: int) -> None:
        """To bash and everything in its process group."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def kill_children(self) -> None:
        """All of its process group but bash."""
        for name in os.listdir("/proc"):
            try:
                if name.isdecimal() and int(name) != self.pid and os.getpgid(int(name)) == self.pid:
                    os.kill(int(name), _signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue

    @staticmethod
    def _write(descriptor: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            at += os.pwrite(descriptor, data[at:], at)


class Kernel:
    """Takes cells from one descriptor and tells on the other what became of them."""

    def __init__(self, cells_fd: int, frames_fd: int) -> None:
        self._cells_fd, self._frames_fd = cells_fd, frames_fd
        for descriptor in (cells_fd, frames_fd):
            os.set_inheritable(descriptor, False)
        self._interrupts, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGINT, lambda _number, _frame: None)
        self._count = 0
        self._reports = b""
        self._bash = Bash()

    def serve(self) -> None:
        """Until the host hangs up; bash goes then, too."""
        self._wait_for_bash()
        while cell := next_cell(self._cells_fd, lambda: self._drain(self._interrupts)):
            self._run(cell["code"], cell.get("env") or {})
        self.close()

    def close(self) -> None:
        """Leave nothing of it running but what has left its process group."""
        self._bash.signal(_signal.SIGKILL)

    def _run(self, code: str, env: dict[str, str]) -> None:
        self._count += 1
        self._send({"type": "started", "execution_count": self._count})
        if ready(self._bash.ended, 0):  # a background job of an earlier cell has killed it since
            self._bash.forget()
            self._start_another()
        self._bash.tell(code, env)
        status, interrupted = self._finish()
        if interrupted:
            self._fail("KeyboardInterrupt", "")
        elif status:
            self._fail("", str(status))
        self._send({"type": "end"})

    def _fail(self, name: str, value: str) -> None:
        self._send({"type": "error", "name": name, "value": value, "traceback": ""})

    def _start_another(self) -> None:
        self._bash.start()
        self._wait_for_bash()

    def _wait_for_bash(self) -> None:
        self._finish(starting=True)  # its first report: the status means nothing
        self._bash.has_taken_over()

    def _finish(self, starting: bool = False) -> tuple[int, bool]:
        """Wait for the end of what bash does: its status, and whether it was interrupted."""
        deadlines: list[float] = []
        interrupted = False
        while True:
            ready = self._wait(deadlines)
            if self._interrupts in ready and self._drain(self._interrupts) and not interrupted:
                interrupted, now = True, monotonic()
                deadlines = [now + seconds for seconds in _PATIENCE]
                if not starting:  # it would end before it has taken over
                    self._bash.signal(_signal.SIGINT)
            status = self._reported()
            if status is not None:
                return status, interrupted
            if self._bash.ended in ready:
                status = self._bash.forget()
                if starting:
                    raise ChildProcessError("bash does not start")
                self._start_another()
                return status, interrupted
            if deadlines and monotonic() >= deadlines[0]:
                deadlines.pop(0)
                self._bash.kill_children() if deadlines else self._bash.signal(_signal.SIGKILL)

    def _wait(self, deadlines: list[float]) -> list[int]:
        waiting = select.poll()
        for descriptor in (self._interrupts, self._bash.status, self._bash.ended):
            waiting.register(descriptor, select.POLLIN)
        left = max(0.0, deadlines[0] - monotonic()) * 1000 + 1 if deadlines else None
        return [descriptor for descriptor, _ in waiting.poll(left)]

    def _drain(self, descriptor: int) -> bytes:
        try:
            return os.read(descriptor, 65536)
        except BlockingIOError:
            return b""

    def _reported(self) -> int | None:
        """The status in what bash reported, if it did."""
        while piece := self._drain(self._bash.status):
            self._reports += piece
        found = None
        *reports, self._reports = self._reports.split(b"\0")
        for report in reports:
            kind, _, rest = report.decode("utf-8", "surrogateescape").partition(" ")
            if kind == "end" and rest.isdecimal():
                found = int(rest) & 0xFF
            elif kind == "show":
                self._show(*rest.partition(" ")[::2])
        return found

    def _show(self, kind: str, path: str) -> None:
        try:
            with open(path, "rb") as file:
                data = file.read(24 * _MIB)
            os.unlink(path)
        except OSError:
            return
        if kind == "image":
            import binascii

            kind = "jpeg" if data.startswith(b"\xff\xd8") else "png"
            text = binascii.b2a_base64(data, newline=False).decode("ascii")
        else:
            text = data.decode("utf-8", "replace")
        self._send({"type": "result", kind: text, "is_main_result": False})

    def _send(self, frame: dict[str, str | int | bool]) -> None:
        write_all(self._frames_fd, frame_line(frame))


def _scratch_file() -> int:
    """A file without a name; memfd_create(2) is not for sandboxes."""
    try:
        descriptor = os.open("/tmp", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        path = f"/tmp/.cell-{os.getpid()}-{monotonic()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.unlink(path)
    try:
        os.pwrite(descriptor, b"\n" * _KEPT, 0)  # zeros would make it a binary file to bash
    except OSError:  # the disk is full already; small cells may fit all the same
        return descriptor
    return descriptor


def _pidfd_open(pid: int) -> int:
    if hasattr(os, "pidfd_open"):  # from 3.9 on
        return os.pidfd_open(pid)
    import ctypes

    return int(ctypes.CDLL(None).syscall(434, pid, 0))  # the same number on every machine


def _quoted(text: str) -> str:
    escaped = text.replace("\0", "").replace("'", "'\\''")
    return f"'{escaped}'"


def _named(name: str) -> bool:
    """Whether bash can have a variable of this name."""
    return name.isascii() and name.isidentifier()


def serve(cells_fd: int, frames_fd: int) -> None:
    """Run cells until the host hangs up or is gone."""
    kernel = Kernel(cells_fd, frames_fd)
    try:
        kernel.serve()
    except OSError:  # the host is gone, or the user has killed what we need
        kernel.close()


def main() -> None:
    """Serve the descriptors that the command line names."""
    serve(int(sys.argv[1]), int(sys.argv[2]))
