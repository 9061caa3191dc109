"""A program that runs inside a sandbox and listens: its answers are what the path asks for.

Started as `python talker.py PORT [ADDRESS]`; it knows nothing of this project.
"""

import base64
import hashlib
import io
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, cast

SEEN = {"gone": 0, "flooded": 0}


def head_of(connection: socket.socket) -> tuple[bytes, bytes]:
    """The request's head, and what came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise OSError
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


def header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


def body_of(connection: socket.socket, head: bytes, rest: bytes) -> bytes:
    """The body's size and digest; by its length or its chunks."""
    reader = cast("BinaryIO", io.BufferedReader(Stream(connection, rest)))
    digest, length = hashlib.sha256(), 0
    for size in sizes(reader, head):
        piece = reader.read(size)
        digest.update(piece)
        length += len(piece)
    return f"{length} {digest.hexdigest()}".encode()


def sizes(reader: BinaryIO, head: bytes) -> Iterator[int]:
    if header(head, b"transfer-encoding").lower() == b"chunked":
        while size := int(reader.readline(), 16):
            yield size
            reader.readline()
        reader.readline()
        return
    left = int(header(head, b"content-length") or 0)
    while left:
        yield min(left, 65536)
        left -= min(left, 65536)


class Stream(io.RawIOBase):
    """What has come already, then the connection."""

    def __init__(self, connection: socket.socket, rest: bytes) -> None:
        self.connection, self.rest = connection, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self.rest[: len(buffer)] or self.connection.recv(len(buffer))
        self.rest = self.rest[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def answer(connection: socket.socket, body: bytes, status: bytes = b"200 OK") -> None:
    connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


def until_closed(connection: socket.socket) -> None:
    with suppress(OSError):
        while connection.recv(65536):
            pass


def websocket(connection: socket.socket, head: bytes, _rest: bytes) -> None:
    key = header(head, b"sec-websocket-key") + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
    )
    reader = connection.makefile("rb")
    while True:
        start = reader.read(2)
        if len(start) < 2 or start[0] & 15 == 8:
            connection.sendall(b"\x88\x00")
            return
        size = start[1] & 127
        size = int.from_bytes(reader.read(2), "big") if size == 126 else size
        mask = reader.read(4)
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(reader.read(size)))
        length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
        connection.sendall(bytes([start[0]]) + length + data)


def upgrade(connection: socket.socket, _head: bytes, rest: bytes) -> None:
    """A protocol of our own: every byte comes back; `quit` ends it."""
    connection.sendall(b"HTTP/1.1 101 Yes\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nhello")
    connection.sendall(rest)
    while (data := connection.recv(65536)) and b"quit" not in data:
        connection.sendall(data)
    SEEN["gone"] += 1


def drain(connection: socket.socket, _head: bytes, rest: bytes) -> None:
    """A protocol that only takes; `/seen/drained` says how much."""
    connection.sendall(b"HTTP/1.1 101 Yes\r\nUpgrade: drain\r\nConnection: upgrade\r\n\r\n")
    SEEN["drained"] = len(rest)
    time.sleep(0.3)
    while data := connection.recv(65536):
        SEEN["drained"] += len(data)
    SEEN["gone"] += 1


def pour(connection: socket.socket, _head: bytes, _rest: bytes) -> None:
    """A protocol that only gives."""
    connection.sendall(b"HTTP/1.1 101 Yes\r\nUpgrade: pour\r\nConnection: upgrade\r\n\r\n")
    flood(connection, b"")


def flood(connection: socket.socket, start: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
    connection.sendall(start)
    SEEN["flooded"] = 0
    try:
        while True:
            connection.sendall(bytes(65536))
            SEEN["flooded"] += 65536
    except OSError:
        SEEN["gone"] += 1


def events(connection: socket.socket, _head: bytes, _rest: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for number in range(3):
        connection.sendall(b"data: %d\n\n" % number)
        time.sleep(0.3)


def chunks(connection: socket.socket, _head: bytes, _rest: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(50):
        connection.sendall(b"3;name=value\r\nabc\r\n")
    connection.sendall(b"0\r\nTrailer: x\r\n\r\n")


def continues(connection: socket.socket, head: bytes, rest: bytes) -> None:
    time.sleep(0.2)
    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    answer(connection, body_of(connection, head, rest))


def never(connection: socket.socket, _head: bytes, _rest: bytes) -> None:
    until_closed(connection)
    SEEN["gone"] += 1


def deaf(connection: socket.socket, head: bytes, rest: bytes) -> None:
    time.sleep(1)
    answer(connection, body_of(connection, head, rest))


WAYS: dict[bytes, Callable[[socket.socket, bytes, bytes], None]] = {
    b"echo": lambda connection, head, rest: answer(connection, head),
    b"count": lambda connection, head, rest: answer(connection, body_of(connection, head, rest)),
    b"refuse": lambda connection, head, rest: answer(connection, b"no", b"413 Too Large"),
    b"flood": lambda connection, head, rest: flood(connection),
    b"ws": websocket,
    b"upgrade": upgrade,
    b"drain": drain,
    b"pour": pour,
    b"events": events,
    b"chunks": chunks,
    b"continues": continues,
    b"never": never,
    b"deaf": deaf,
}


def serve(connection: socket.socket) -> None:
    with connection:
        head, rest = head_of(connection)
        _, way, *more = head.split(b" ", 2)[1].split(b"?")[0].split(b"/")
        if way in WAYS:
            WAYS[way](connection, head, rest)
        elif way == b"seen":
            answer(connection, b"%d" % SEEN[more[0].decode()])
        elif way in (b"raw", b"open", b"drip"):
            data = bytes.fromhex(more[0].decode())
            step = 1 if way == b"drip" else len(data) or 1
            for start in range(0, len(data), step):
                connection.sendall(data[start : start + step])
            if way == b"open":
                until_closed(connection)
            else:
                connection.shutdown(socket.SHUT_WR)
                until_closed(connection)


def main() -> None:
    address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, int(sys.argv[1])))
        listener.listen(128)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=lambda c=connection: quiet(c), daemon=True).start()


def quiet(connection: socket.socket) -> None:
    with suppress(OSError):
        serve(connection)


if __name__ == "__main__":
    main()
