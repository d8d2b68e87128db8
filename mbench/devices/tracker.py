"""Ask a TVM RPC tracker for a device, within a bounded time.

TVM has a client too (`tvm.rpc.TrackerSession`); it waits without a limit and without a word. Source of the protocol:
tvm/rpc/tracker.py. Needs no tvm.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from mbench.devices.address import Address
from mbench.errors import MeasureError, why

_MAGIC = 0x2F271
_SUCCESS, _REQUEST, _SUMMARY = 0, 4, 6
_PRIORITY = 1
_TELL_S = 1.0
_LONGEST = 1 << 20
_NOT_A_TRACKER = "is no TVM RPC tracker; use rpc://HOST:PORT, without a key, for a server"


def request(
    address: Address, *, waiting: Callable[[str], None], patience_s: float, answer_s: float
) -> tuple[str, int, str]:
    """Return (host, port, key) of a device that nobody else has until the line to it is closed.

    Args:
        address: of the tracker, with the key of the device.
        waiting: is told every second that all devices are busy.
        patience_s: how long to wait for one.
        answer_s: how long the tracker itself may take to answer.

    Raises:
        MeasureError: there is no such tracker, it has no such device, or all of them stay busy.
    """
    where = f"{address.host}:{address.port}"
    try:
        with contextlib.closing(socket.create_connection((address.host, address.port), answer_s)) as line:
            _greet(line, where)
            known = _devices(_ask(line, [_SUMMARY]))
            if not known.get(str(address.key)):
                has = ", ".join(f"{key} ({number})" for key, number in sorted(known.items())) or "none at all"
                raise MeasureError(f"the tracker {where} has no device with the key {address.key!r}; it has: {has}")
            _send(line, [_REQUEST, address.key, "", _PRIORITY])
            _wait(line, f"{known[str(address.key)]} with the key {address.key!r}", waiting, patience_s)
            host, port, key = _checked(_receive(line))
            return str(host), int(port), str(key)
    except TimeoutError:
        raise MeasureError(f"no answer from the tracker {where} within {answer_s:g} s") from None
    except (ValueError, struct.error):
        raise MeasureError(f"what answers at {where} {_NOT_A_TRACKER}") from None
    except OSError as error:
        raise MeasureError(f"no tracker at {where}: {why(error)}") from error


def _greet(line: socket.socket, where: str) -> None:
    line.sendall(struct.pack("<i", _MAGIC))
    if struct.unpack("<i", _exactly(line, 4)) != (_MAGIC,):
        raise MeasureError(f"what answers at {where} {_NOT_A_TRACKER}")


def _wait(line: socket.socket, what: str, waiting: Callable[[str], None], patience_s: float) -> None:
    """Wait for the answer to a request."""
    start = time.monotonic()
    while not select.select([line], [], [], _TELL_S)[0]:
        waited = time.monotonic() - start
        if waited > patience_s:
            raise MeasureError(f"every device ({what}) stayed busy for {patience_s:g} s; try again later")
        waiting(f"waiting for a device ({what})")


def _devices(summary: Any) -> dict[str, int]:
    """Return the number of devices by key; those that are busy just now are among them."""
    found: dict[str, int] = {}
    for server in summary["server_info"]:
        key = str(server["key"]).removeprefix("server:")
        found[key] = found.get(key, 0) + 1
    return found


def _ask(line: socket.socket, question: list[Any]) -> Any:
    _send(line, question)
    return _checked(_receive(line))


def _checked(answer: Any) -> Any:
    if not isinstance(answer, list) or len(answer) != 2 or answer[0] != _SUCCESS:
        raise ValueError(answer)
    return answer[1]


def _send(line: socket.socket, message: list[Any]) -> None:
    data = json.dumps(message).encode()
    line.sendall(struct.pack("<i", len(data)) + data)


def _receive(line: socket.socket) -> Any:
    (size,) = struct.unpack("<i", _exactly(line, 4))
    if not 0 < size <= _LONGEST:
        raise ValueError(size)
    return json.loads(_exactly(line, size))


def _exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise ValueError("the line was closed")
        data += piece
    return data
