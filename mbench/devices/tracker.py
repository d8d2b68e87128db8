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
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

import msgspec

from mbench.core.errors import MeasureError, why
from mbench.core.progress import Note
from mbench.devices.address import Address
from mbench.devices.answers import plain

_MAGIC = 0x2F271
_SUCCESS, _REQUEST, _SUMMARY = 0, 4, 6
_PRIORITY = 1
_TELL_S = 1.0
_LONGEST = 1 << 20
_MOST_NAMED = 20
_LONGEST_KEY = 40
_NOT_A_TRACKER = "is no TVM RPC tracker; use rpc://HOST:PORT, without a key, for a server"


_Host = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:%-]{1,255}$")]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _Registered(msgspec.Struct, frozen=True):
    """A server that the tracker knows."""

    key: str
    addr: Any = None
    """Its host and its port; other servers than those asked for may say what they like."""


class _Summary(msgspec.Struct, frozen=True):
    """What a tracker has."""

    server_info: list[_Registered]


class _Reached(msgspec.Struct, frozen=True, array_like=True):
    """Where a server is."""

    host: _Host
    port: _Port


class _Reported(msgspec.Struct, frozen=True, array_like=True):
    """The device that a tracker gives."""

    host: _Host
    port: _Port
    key: Annotated[str, msgspec.Meta(max_length=1000)]


_T = TypeVar("_T")


class TrackerBusy(MeasureError):
    """Every device of a key stayed busy."""


def request(address: Address, *, waiting: Note, patience_s: float, answer_s: float) -> tuple[str, int, str]:
    """Return (host, port, key) of a device that nobody else has until the line to it is closed.

    Args:
        address: of the tracker, with the key of the device.
        waiting: called every second while all devices are busy.
        patience_s: how long to wait for one.
        answer_s: how long the tracker itself may take to answer.

    Raises:
        MeasureError: there is no such tracker, it has no such device, or all of them stay busy.
    """
    with _asked(address, answer_s) as (line, summary):
        known = _devices(summary)
        if not known.get(str(address.key)):
            where = f"{address.host}:{address.port}"
            raise MeasureError(
                f"the tracker {where} has no device with the key {address.key!r}; it has: {_named(known)}"
            )
        _send(line, [_REQUEST, address.key, "", _PRIORITY])
        _wait(line, f"{known[str(address.key)]} with the key {address.key!r}", waiting, patience_s)
        given = _receive(line, _Reported, time.monotonic() + answer_s)
        return given.host, given.port, given.key


def boards(address: Address, *, answer_s: float) -> tuple[Address, ...]:
    """Return the addresses of the devices that a tracker has with a key, busy or not, in order.

    Raises:
        MeasureError: there is no such tracker.
    """
    with _asked(address, answer_s) as (_, summary):
        found = summary.server_info
        reached = [msgspec.convert(each.addr, _Reached) for each in found if _bare(each) == address.key]
    return tuple(Address(each.host, each.port) for each in sorted(reached, key=lambda each: (each.host, each.port)))


@contextlib.contextmanager
def _asked(address: Address, answer_s: float) -> Iterator[tuple[socket.socket, _Summary]]:
    """Hold a line to a tracker, which has said what it has.

    Raises:
        MeasureError: there is no tracker, or what is done with the line shows that it is none.
    """
    where = f"{address.host}:{address.port}"
    try:
        with contextlib.closing(socket.create_connection((address.host, address.port), answer_s)) as line:
            deadline = time.monotonic() + answer_s
            _greet(line, where, deadline)
            _send(line, [_SUMMARY])
            yield line, _receive(line, _Summary, deadline)
    except TimeoutError:
        raise MeasureError(f"no answer from the tracker {where} within {answer_s:g} s") from None
    except (ValueError, struct.error, RecursionError):
        raise MeasureError(f"what answers at {where} {_NOT_A_TRACKER}") from None
    except OSError as error:
        raise MeasureError(f"no tracker at {where}: {why(error)}") from error


def _bare(server: _Registered) -> str:
    return server.key.removeprefix("server:")


def _greet(line: socket.socket, where: str, deadline: float) -> None:
    line.sendall(struct.pack("<i", _MAGIC))
    if struct.unpack("<i", _exactly(line, 4, deadline)) != (_MAGIC,):
        raise MeasureError(f"what answers at {where} {_NOT_A_TRACKER}")


def _wait(line: socket.socket, what: str, waiting: Note, patience_s: float) -> None:
    """Wait for the answer to a request."""
    start = time.monotonic()
    while not select.select([line], [], [], _TELL_S)[0]:
        waited = time.monotonic() - start
        if waited > patience_s:
            raise TrackerBusy(f"every device ({what}) stayed busy for {patience_s:g} s; try again later")
        waiting(f"waiting for a device ({what})")


def _devices(summary: _Summary) -> dict[str, int]:
    """Return the number of devices by key; those that are busy just now are among them."""
    found: dict[str, int] = {}
    for server in summary.server_info:
        found[_bare(server)] = found.get(_bare(server), 0) + 1
    return found


def _named(known: dict[str, int]) -> str:
    """Return what a tracker has in words, the first keys alone where there are many."""
    names = [f"{plain(key, _LONGEST_KEY)} ({number})" for key, number in sorted(known.items())]
    more = [f"and {len(names) - _MOST_NAMED} others"] if len(names) > _MOST_NAMED else []
    return ", ".join([*names[:_MOST_NAMED], *more]) or "none at all"


def _send(line: socket.socket, message: list[Any]) -> None:
    data = json.dumps(message).encode()
    line.sendall(struct.pack("<i", len(data)) + data)


def _receive(line: socket.socket, kind: type[_T], deadline: float) -> _T:
    """Return what the tracker answers, which must say that all is well.

    Raises:
        ValueError: it is something else.
        TimeoutError: it is not whole at the deadline.
    """
    (size,) = struct.unpack("<i", _exactly(line, 4, deadline))
    if not 0 < size <= _LONGEST:
        raise ValueError(size)
    code, answer = msgspec.json.decode(_exactly(line, size, deadline), type=tuple[int, msgspec.Raw])
    if code != _SUCCESS:
        raise ValueError(code)
    return msgspec.json.decode(answer, type=kind)


def _exactly(line: socket.socket, size: int, deadline: float) -> bytes:
    """Return so many bytes, which must be there at the deadline, however they trickle."""
    data = bytearray()
    while len(data) < size:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        line.settimeout(left_s)
        piece = line.recv(size - len(data))
        if not piece:
            raise ValueError("the line was closed")
        data += piece
    return bytes(data)
