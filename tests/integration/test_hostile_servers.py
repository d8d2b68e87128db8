"""mbench as the client of servers that answer garbage, without end, or nothing: one line, bounded time and memory."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import board_server as serving
import hostile_clients as hostile
import pytest
from measure_plans import ignore
from rpc_plans import FEW, failure

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.devices import line
from mbench.devices.address import Address
from mbench.devices.rpc import RpcDevice

pytest_plugins = ("rpc_fixtures",)

Answer = Callable[[socket.socket], None]
GREETING = struct.pack("<ii", hostile.MAGIC, 7) + b"server:"
RETURN, EXCEPTION = 4, 5


def says(*pieces: bytes) -> Answer:
    """Return what answers the greeting and the first request with a piece each, and hangs up."""

    def answer(client: socket.socket) -> None:
        for heard, piece in zip((hostile.greeting(), hostile.INIT, b"x"), pieces, strict=False):
            client.recv(len(heard), socket.MSG_WAITALL)
            client.sendall(piece)

    return answer


def no_text(text: bytes) -> bytes:
    """Return the answer that something went wrong at the other end, in bytes that are no text."""
    string = 65  # kTVMFFIStr
    return hostile.request(EXCEPTION, struct.pack("<iiIQ", 1, string, string, len(text)) + text)


NO_SERVER = "is no TVM RPC server; check the port"
HOSTILE: dict[str, tuple[Answer, str]] = {
    "another magic": (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), NO_SERVER),
    "negative key": (says(struct.pack("<ii", hostile.MAGIC, -5)), NO_SERVER),
    "hangs up": (says(GREETING, b""), "hung up before the session began"),
    "huge answer": (says(GREETING, hostile.request(RETURN, length=1 << 62)), NO_SERVER),
    "no such code": (says(GREETING, hostile.request(-7)), NO_SERVER),
    "no text": (says(GREETING, no_text(b"\xff" * 10_000_000)), "answered what mbench cannot use: UnicodeDecodeError"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_server_is_one_line(kind: str) -> None:
    answer, said = HOSTILE[kind]
    with serving.stranger(answer) as url, pytest.raises(MeasureError) as caught:
        line.connect(Address.parse(url), waiting=ignore_text, patience_s=1.0, answer_s=20.0)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def ignore_text(_: str) -> None:
    """Do nothing with what is told."""


@pytest.fixture
def flood() -> Iterator[str]:
    """A server whose key has 2 GiB and never ends."""
    over = threading.Event()

    def answer(client: socket.socket) -> None:
        client.recv(1 << 12)
        client.sendall(struct.pack("<ii", hostile.MAGIC, (1 << 31) - 1))
        with contextlib.suppress(OSError):
            while not over.is_set():
                client.sendall(bytes(1 << 16))

    with serving.stranger(answer) as url:
        yield url
    over.set()


def test_a_server_that_answers_without_end(flood: str, net: Artifact, opened: Callable[..., RpcDevice]) -> None:
    said = failure(opened(flood), net, FEW, ignore)
    assert "no answer from" in said or NO_SERVER in said
