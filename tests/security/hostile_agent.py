"""A sandbox whose first process is in hostile hands: it says what a test has it say."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.driver import Jail, Jailed, new_id

# Ends by itself: a service that waits for it in the kernel is to fail a test, not to hang it.
_AGENT = """
import array, fcntl, json, marshal, os, signal, socket, sys, threading, time
signal.alarm(8)
control = socket.socket(fileno=int(sys.argv[1]))

def send(channel, message, descriptors=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    channel.sendmsg([message], rights if descriptors else [])

def hand(request, *descriptors):
    send(control, b"handed\\0%d" % request["id"], descriptors)

def block(descriptor):
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_RDWR)

kept = []
views = [os.open(place, os.O_RDONLY) for place in ("/proc", "/var", "/dev/shm")]
ANSWER
send(control, b"hello", views)
while True:
    message, ancillary, _, _ = control.recvmsg(200_000, socket.CMSG_SPACE(64))
    if not message:
        break
    given = array.array("i")
    for _, _, data in ancillary:
        given.frombytes(data)
    answer(marshal.loads(message), list(given))
"""


class Hostile:
    """The Driver that starts it."""

    def __init__(self, answer: str) -> None:
        """`answer` defines `answer(request, descriptors)`."""
        self._code = _AGENT.replace("ANSWER", textwrap.dedent(answer))

    def start(self, jail: Jail, control: int) -> Jailed:
        process = subprocess.Popen(
            [sys.executable, "-c", self._code, str(control)], pass_fds=[control]
        )
        process.returncode = 0  # whoever has its pid reaps it
        return Jailed(process.pid, os.open(os.devnull, os.O_RDONLY))


@asynccontextmanager
async def hostile(answer: str) -> AsyncGenerator[RunningSandbox]:
    """A sandbox of the service's with such an agent."""
    live = RunningSandbox(Hostile(answer), Jail(new_id(), current_interpreter()), "base")
    await live.ready()
    try:
        yield live
    finally:
        live.kill()
        await live.buried()
