"""Clients that a server must survive: bytes as TVM's RPC has them, and everything else. Needs no tvm.

Source of the protocol: src/runtime/rpc/rpc_socket_impl.cc and rpc_endpoint.cc of TVM 0.27.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct

MAGIC = 0xFF271
MISMATCH = struct.pack("<i", MAGIC + 2)
WAIT_S = 60.0
INIT_SERVER, CALL = 2, 3


def greeting(key: str = "client:") -> bytes:
    """Return the first bytes of a client."""
    return struct.pack("<ii", MAGIC, len(key)) + key.encode()


def request(code: int, body: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a message; `length` is what it claims to have."""
    said = 4 + len(body) if length is None else length
    return struct.pack("<Qi", said & (1 << 64) - 1, code) + body


INIT = request(INIT_SERVER, struct.pack("<Q", 5) + b"0.8.0" + struct.pack("<i", 0))
"""The first request of TVM 0.27."""


def connected(port: int) -> socket.socket:
    """Return a line to a server, on which nothing takes for ever."""
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)


def name(line: socket.socket) -> str:
    """Return what the server's log calls this client."""
    host, port = line.getsockname()[:2]
    return f"{host}:{port}"


def all_that_comes(line: socket.socket) -> bytes:
    """Return what the server sends until it hangs up."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := line.recv(1 << 16):
            got += piece
    return got


def greeted(port: int) -> socket.socket:
    """Return a line whose greeting was answered."""
    line = connected(port)
    line.sendall(greeting())
    answer = line.recv(15, socket.MSG_WAITALL)
    assert answer == struct.pack("<ii", MAGIC, 7) + b"server:", answer
    return line


def in_session(port: int) -> socket.socket:
    """Return a line that has a session."""
    line = greeted(port)
    line.sendall(INIT)
    (size,) = struct.unpack("<Q", line.recv(8, socket.MSG_WAITALL))
    assert len(line.recv(size, socket.MSG_WAITALL)) == size
    return line


def reset(line: socket.socket) -> None:
    """Close a line so that the other side is told of an error."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


def noise(draw: random.Random) -> bytes:
    """Return bytes at random, many of which begin as a client does."""
    kind = draw.randrange(8)
    tail = draw.randbytes(draw.choice((0, 1, 3, 8, 50, 3000)))
    if kind == 0:
        return tail
    if kind == 1:
        return struct.pack("<ii", MAGIC, draw.randrange(-(1 << 31), 1 << 31)) + tail
    if kind == 2:
        return greeting() + tail
    if kind == 3:
        return greeting() + request(
            draw.randrange(-5, 80), tail, length=draw.choice((0, 4, 1 << 20, 1 << 63, len(tail)))
        )
    if kind == 4:
        return greeting(draw.choice(("client", "server:", "client:\0\x1b[2J", "x" * 999))) + tail
    if kind == 5:  # a session
        return greeting() + INIT + tail
    if kind == 6:
        return (
            greeting()
            + INIT
            + request(draw.randrange(-5, 80), tail, length=draw.choice((4, 1 << 40, 1 << 63, len(tail) + 4)))
        )
    whole = bytearray(greeting() + INIT)
    whole[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
    return bytes(whole[: draw.randrange(1, len(whole) + 1)])
