from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mbench.core.errors import MeasureError
from mbench.devices import tracker
from mbench.devices.address import Address

MAGIC = struct.pack("<i", 0x2F271)
Talk = Callable[[socket.socket], None]


def message(value: Any) -> bytes:
    data = json.dumps(value).encode()
    return struct.pack("<i", len(data)) + data


def heard(line: socket.socket) -> Any:
    (size,) = struct.unpack("<i", line.recv(4, socket.MSG_WAITALL))
    return json.loads(line.recv(size, socket.MSG_WAITALL))


@contextlib.contextmanager
def listening(talk: Talk) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                line, _ = listener.accept()
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # pieces are sent as pieces
                with line:
                    talk(line)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(60)


def ask(
    port: int, *, patience_s: float = 5.0, answer_s: float = 60.0, told: list[str] | None = None
) -> tuple[str, int, str]:
    address = Address("127.0.0.1", port, "pi4")
    waiting = told.append if told is not None else lambda _: None
    return tracker.request(address, waiting=waiting, patience_s=patience_s, answer_s=answer_s)


def greets(line: socket.socket, *keys: str) -> None:
    """Do what TVM's tracker does until it has told which devices it has."""
    assert line.recv(4, socket.MSG_WAITALL) == MAGIC
    line.sendall(MAGIC)
    assert heard(line) == [6]
    known = [{"key": f"server:{key}", "addr": ["10.0.0.2", 9090]} for key in keys]
    line.sendall(message([0, {"queue_info": {}, "server_info": known}]))


def test_a_device_is_given() -> None:
    def talk(line: socket.socket) -> None:
        greets(line, "pi4")
        assert heard(line) == [4, "pi4", "", 1]
        line.sendall(message([0, ["10.0.0.2", 9090, "pi4:0.5"]]))

    with listening(talk) as port:
        assert ask(port) == ("10.0.0.2", 9090, "pi4:0.5")


def test_an_answer_in_pieces() -> None:
    def talk(line: socket.socket) -> None:
        greets(line, "pi4")
        heard(line)
        for byte in message([0, ["10.0.0.2", 9090, "pi4:0.5"]]):
            line.sendall(bytes([byte]))

    with listening(talk) as port:
        assert ask(port)[1] == 9090


def test_waiting_is_told_until_a_device_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told(list[str]):
        """Lets a device be free when it was told twice."""

        twice = threading.Event()

        def append(self, text: str) -> None:
            super().append(text)
            if len(self) == 2:
                self.twice.set()
                assert answered.wait(60)

    told, answered = Told(), threading.Event()

    def talk(line: socket.socket) -> None:
        greets(line, "pi4", "pi4")
        heard(line)
        assert told.twice.wait(60)
        line.sendall(message([0, ["10.0.0.2", 9090, "pi4:0.5"]]))
        answered.set()

    monkeypatch.setattr(tracker, "_TELL_S", 0.01)
    with listening(talk) as port:
        assert ask(port, patience_s=600.0, told=told)[1] == 9090
    assert told == ["waiting for a device (2 with the key 'pi4')"] * 2


def test_patience_ends() -> None:
    def talk(line: socket.socket) -> None:
        greets(line, "pi4")
        heard(line)
        line.recv(1)

    with (
        listening(talk) as port,
        pytest.raises(MeasureError, match=r"every device \(1 with the key 'pi4'\) stayed busy"),
    ):
        ask(port, patience_s=0.0)


@pytest.mark.parametrize(
    ("keys", "has"), [((), "it has: none at all"), (("pi5", "rock", "pi5"), r"it has: pi5 \(2\), rock \(1\)")]
)
def test_a_key_that_no_device_has(keys: tuple[str, ...], has: str) -> None:
    with (
        listening(lambda line: greets(line, *keys)) as port,
        pytest.raises(MeasureError, match=f"has no device with the key 'pi4'; {has}"),
    ):
        ask(port)


def _closes(line: socket.socket) -> None:
    line.recv(4)


def _speaks_otherwise(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    line.recv(4)


def _is_a_server(line: socket.socket) -> None:
    line.recv(4)
    line.sendall(struct.pack("<i", 0xFF271))


def _answers_no_json(line: socket.socket) -> None:
    line.recv(4)
    line.sendall(MAGIC + struct.pack("<i", 4) + b"}{}{")


def _answers_too_much(line: socket.socket) -> None:
    line.recv(4)
    line.sendall(MAGIC + struct.pack("<i", 1 << 30))


def _fails(line: socket.socket) -> None:
    line.recv(4)
    line.sendall(MAGIC + message(-1))


def _answers(*answers: bytes) -> Talk:
    def talk(line: socket.socket) -> None:
        assert line.recv(4, socket.MSG_WAITALL) == MAGIC
        line.sendall(MAGIC)
        for answer in answers:
            heard(line)
            line.sendall(answer)
        line.recv(1)

    return talk


def _summary(*keys: Any) -> bytes:
    return message([0, {"queue_info": {}, "server_info": [{"key": key} for key in keys]}])


_NO_ANSWER: tuple[Any, ...] = (None, [], [0], [0, None], [0, {}], [0, {"server_info": 1}], {"a": 1})
_NO_SERVER_INFO: tuple[Any, ...] = ([1], [{}], [{"key": 1}], {"key": "x"})
_NO_ADDRESS: tuple[Any, ...] = (
    *(None, [], ["board"], ["board", 9090], ["board", "9090", "x"], [1, 9090, "x"], ["board", 9090, 1]),
    *(["board", 0, "x"], ["board", 65536, "x"], ["board", 9.5, "x"], ["board", 10**40, "x"]),
    *(["", 9090, "x"], ["a b", 9090, "x"], ["\x1b[2J", 9090, "x"], ["x" * 300, 9090, "x"]),
    ["board", 9090, "x" * 2000],
)
_DEEP = struct.pack("<i", 100_000) + b"[" * 100_000
_HUGE = b"[0,1e999999]"


@pytest.mark.parametrize(
    "talk",
    [
        *(_closes, _speaks_otherwise, _is_a_server, _answers_no_json, _answers_too_much, _fails),
        *(_answers(message(value)) for value in _NO_ANSWER),
        *(_answers(message([0, {"server_info": value}])) for value in _NO_SERVER_INFO),
        *(_answers(_DEEP), _answers(struct.pack("<i", len(_HUGE)) + _HUGE), _answers(struct.pack("<i", -1))),
        *(_answers(_summary("server:pi4"), message([0, value])) for value in _NO_ADDRESS),
    ],
)
def test_what_is_no_tracker(talk: Talk) -> None:
    with listening(talk) as port, pytest.raises(MeasureError, match=f"at 127.0.0.1:{port} is no TVM RPC tracker; use"):
        ask(port)


def test_one_that_says_nothing() -> None:
    def talk(line: socket.socket) -> None:
        line.recv(4)
        line.recv(1)

    with (
        listening(talk) as port,
        pytest.raises(MeasureError, match=f"no answer from the tracker 127.0.0.1:{port} within"),
    ):
        ask(port, answer_s=0.1)


@pytest.mark.parametrize("before", [b"", MAGIC + struct.pack("<i", 1000)], ids=["greeting", "answer"])
def test_one_that_trickles(before: bytes) -> None:
    over = threading.Event()

    def talk(line: socket.socket) -> None:
        line.recv(4)
        line.sendall(before)
        for byte in MAGIC[:3] if not before else b" " * 1000:
            line.sendall(bytes([byte]))
            if over.wait(0.2):
                break
        over.wait(60)

    with listening(talk) as port:
        try:
            with pytest.raises(MeasureError, match=f"no answer from the tracker 127.0.0.1:{port} within 0.5 s"):
                ask(port, answer_s=0.5)
        finally:
            over.set()


def test_keys_are_shown_and_drive_no_terminal() -> None:
    keys = [f"server:{number}\x1b[2J\n\u202e{'x' * 1000}" for number in range(500)]
    with listening(_answers(_summary(*keys))) as port, pytest.raises(MeasureError) as caught:
        ask(port)
    assert "and 480 others" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(MeasureError, match=f"no tracker at 127.0.0.1:{port}: Connection refused"):
        ask(port)


def lists(line: socket.socket, *servers: Any) -> None:
    """Do what TVM's tracker does when it is asked what it has."""
    assert line.recv(4, socket.MSG_WAITALL) == MAGIC
    line.sendall(MAGIC)
    assert heard(line) == [6]
    line.sendall(message([0, {"queue_info": {}, "server_info": list(servers)}]))


def boards_of(*servers: Any) -> tuple[Address, ...]:
    with listening(lambda line: lists(line, *servers)) as port:
        return tracker.boards(Address("127.0.0.1", port, "pi4"), answer_s=60.0)


def test_the_boards_of_a_key_are_listed_in_order() -> None:
    assert boards_of(
        {"key": "server:pi4", "addr": ["10.0.0.22", 9090]}, {"key": "server:pi5", "addr": None},
        {"key": "server:pi4", "addr": ["10.0.0.21", 9091]},
    ) == (Address("10.0.0.21", 9091), Address("10.0.0.22", 9090))  # fmt: skip
    assert boards_of() == ()


@pytest.mark.parametrize("address", [None, ["a b", 9090], ["10.0.0.21", 0], ["10.0.0.21"], "10.0.0.21:9090"], ids=str)
def test_a_board_whose_address_is_none_is_refused(address: Any) -> None:
    with pytest.raises(MeasureError, match="is no TVM RPC tracker"):
        boards_of({"key": "server:pi4", "addr": address})


def test_without_a_tracker_there_are_no_boards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(MeasureError, match=f"no tracker at 127.0.0.1:{port}: Connection refused"):
        tracker.boards(Address("127.0.0.1", port, "pi4"), answer_s=60.0)
