"""The broker of a directory of volumes: a process that gives out mounts of them, and workers.

A volume is a directory of the host that sandboxes write to, so every name and link in it is of
hostile making, and the service opens nothing there. A mount of one goes to a sandbox as a
descriptor (`syscalls.detached`): neither zygotes nor other sandboxes have anything of it. A worker
is the file worker that sandboxes have (`agent.files.worker`), in a process whose root is the
volume, with nothing else in its file system, no network, and of all rights only those over the
files of whom volumes belong to.

Started with an empty environment: it knows nothing of the service's.
"""

from __future__ import annotations

import _socket
import marshal
import os
import resource
import signal
from typing import NoReturn

from e2brun.sandbox.local.agent.descriptors import hand_over, received
from e2brun.sandbox.local.agent.files import worker
from e2brun.sandbox.local.isolation import mounts, rootfs, seccomp, syscalls
from e2brun.sandbox.local.isolation.launching import be_expendable

_LONGEST = 4096
_CHANNEL = 3
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READY = b"ready"
PUT, WORK = "put", "work"  # what may be asked for


def serve(host: _socket.socket) -> NoReturn:
    """Obey until `host` hangs up; the working directory is that of the volumes."""
    os.set_inheritable(host.fileno(), False)
    be_expendable()
    rootfs.enter_namespaces()
    syscalls.unshare(syscalls.NAMESPACES)
    if (first := os.fork()) != 0:
        os.waitpid(first, 0)  # with it, all its workers end
        os._exit(0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers need no burial
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one for each level of a tree
    while True:
        message, given = received(host, _LONGEST, 1)
        if not message:
            os._exit(0)
        try:
            _obey(host, marshal.loads(message), given)
        except OSError as error:
            host.send(f"{error.errno} {error.strerror}".encode())
        finally:
            for descriptor in given:
                os.close(descriptor)


def _obey(host: _socket.socket, request: tuple[str, str], given: list[int]) -> None:
    what, volume = request
    # What a worker fails at, only we can tell; a link would lead to what is none of ours.
    os.close(os.open(volume, _DIRECTORY))
    if what == WORK:
        if os.fork() == 0:
            _become_worker(volume, given[0])
        host.send(READY)
        return
    made = syscalls.detached(volume)
    try:
        hand_over(host, [READY], [made])
    finally:
        os.close(made)


def _become_worker(volume: str, channel: int) -> NoReturn:
    try:
        os.setsid()
        os.dup2(channel, _CHANNEL, inheritable=False)
        os.closerange(_CHANNEL + 1, 1 << 20)
        os.chdir(volume)  # as who may go there: the way is the service's alone
        _lock_in()
        worker.serve(_CHANNEL)
    except BaseException as error:
        os.write(2, f"e2brun: volume {volume}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(0)


def _lock_in() -> None:
    """Let the working directory be all there is. Raises OSError."""
    rootfs.become(rootfs.OWNER_OF_MOUNTS)
    syscalls.show_in_proc()
    rootfs.enter_user_namespace(rootfs.SANDBOX_UID, syscalls.CLONE_NEWNS)
    syscalls.mount(".", rootfs.STAGE, None, syscalls.MS_BIND)
    mounts.add_flags(rootfs.STAGE, syscalls.MS_NOTHING)
    syscalls.change_root(rootfs.STAGE)
    syscalls.drop_capabilities(but=syscalls.CAPS_OF_FILES)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.install_filter(seccomp.filter_program())
