"""What many boards ask of one tracker of TVM, and of the machine that measures on them: a part of `scale.py`."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Sequence

from mbench.core import units
from mbench.devices import tracker as client
from mbench.devices.address import Address

_MAGIC, _PUT, _UPDATE_INFO = 0x2F271, 3, 5
"""Source: tvm/rpc/base.py."""
_START_S = 30.0
_KEY = "board"
_ASKED = 50
_TVM = """
from mbench.core import processes
processes.without_torch()
import tvm, psutil
print(psutil.Process().memory_info().rss)
"""


def tracker(count: int) -> bool:
    """Print what a request to a tracker of many boards takes, and what a process with TVM holds."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    at = ("--host", "127.0.0.1", "--port", str(port), "--port-end", str(port + 1))
    command = [sys.executable, "-m", "tvm.exec.rpc_tracker", *at]
    with contextlib.ExitStack() as stack:
        started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(started.wait)
        stack.callback(started.kill)
        _until_open(port)
        _register([stack.enter_context(_greeted(port)) for _ in range(count)])
        taken = []
        for _ in range(_ASKED):
            start = time.perf_counter()
            client.request(Address.parse(f"rpc://127.0.0.1:{port}/{_KEY}"), waiting=print, patience_s=5.0, answer_s=5.0)
            taken.append(time.perf_counter() - start)
    print(f"a request to a tracker of {count} boards: {1e3 * statistics.median(taken):.1f} ms")
    held = subprocess.run([sys.executable, "-c", _TVM], capture_output=True, text=True, check=True).stdout
    print(f"the process that talks to a board: {units.data_size(int(held))} with TVM")
    return True


def _until_open(port: int) -> None:
    ends_s = time.monotonic() + _START_S
    while time.monotonic() < ends_s:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.1)
    raise SystemExit("the tracker did not start")


def _greeted(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(struct.pack("<i", _MAGIC))
    assert struct.unpack("<i", line.recv(4, socket.MSG_WAITALL)) == (_MAGIC,)
    return line


def _register(lines: Sequence[socket.socket]) -> None:
    """Register boards that are free, as TVM's server does; all at once, since each answer takes its time."""
    for code in (_UPDATE_INFO, _PUT):
        for number, line in enumerate(lines):
            port = 9000 + number
            info = {"key": f"server:{_KEY}", "addr": ["127.0.0.1", port]}
            message = [code, info] if code == _UPDATE_INFO else [code, _KEY, [port, f"{_KEY}:{number}"], "127.0.0.1"]
            data = json.dumps(message).encode()
            line.sendall(struct.pack("<i", len(data)) + data)
        for line in lines:
            [size] = struct.unpack("<i", line.recv(4, socket.MSG_WAITALL))
            line.recv(size, socket.MSG_WAITALL)
