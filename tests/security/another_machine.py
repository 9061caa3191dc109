"""Another machine, near enough: a network namespace with services of our own in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

GREETING_PORT = 8080
_GREETS = f"""
import socket
with socket.create_server(("0.0.0.0", {GREETING_PORT})) as listener:
    print("up", flush=True)
    while True:
        with listener.accept()[0] as connection:
            connection.sendall(b"reached")
"""


@contextmanager
def another_machine(router: str, address: str, *others: str, code: str = _GREETS) -> Iterator[None]:
    """One at `address` and at `others`, `router` being our own on the wire between, where `code`
    runs, which prints "up". Skips where there can be none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root can make a network namespace with a service in it")
    number = f"{os.getpid()}{router.split('.', maxsplit=1)[0]}"
    space, near, far = (f"e2brun{number}", f"e2b{number}a", f"e2b{number}b")
    steps = [
        f"netns add {space}",
        f"link add {near} type veth peer name {far} netns {space}",
        f"addr add {router}/24 dev {near}",
        f"link set {near} up",
        f"-n {space} addr add {address}/24 dev {far}",
        *(f"-n {space} addr add {other}/32 dev {far}" for other in others),
        f"-n {space} link set {far} up",
        f"-n {space} route add default via {router}",
        *(f"route add {other}/32 via {address}" for other in others),
    ]
    server = None
    try:
        for step in steps:
            done = subprocess.run(["ip", *step.split()], capture_output=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"ip {step}: {done.stderr.decode().strip()}")
        words = ["ip", "netns", "exec", space, sys.executable, "-c", code]
        server = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        yield
    finally:
        if server is not None and server.stdout is not None:
            server.kill()
            server.wait()
            server.stdout.close()
        subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", near], capture_output=True, check=False)
