"""Shared by the tests of devices over RPC: real servers and trackers, a proxy that cuts the line, servers of others."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

START_S = 300.0


class Serving:
    """A server in a process of its own, at `port` on loopback; `said` is its log so far."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port
        self.said: list[str] = []
        self._told = threading.Condition()
        threading.Thread(target=self._drain, daemon=True).start()

    def wait_for(self, *words: str, within_s: float = 60.0) -> str:
        """Return the first line of the log with all these words, as soon as it is there."""

        def found() -> list[str]:
            return [line for line in self.said if all(word in line for word in words)]

        with self._told:
            assert self._told.wait_for(found, within_s), (words, self.said)
            return found()[0]

    def _drain(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # closed at the end
            for line in self.process.stdout:
                with self._told:
                    self.said.append(line)
                    self._told.notify_all()

    @property
    def url(self) -> str:
        """Its address."""
        return f"rpc://127.0.0.1:{self.port}"

    def sessions(self) -> list[psutil.Process]:
        """Return the processes that serve clients."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def assert_idle(self, within_s: float = 300.0) -> None:
        """Fail if something still runs for a client."""
        deadline = time.monotonic() + within_s
        while (left := self.sessions()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, [process.status() for process in left]


@contextlib.contextmanager
def started(*command: str | Path, says: str, **environment: str) -> Iterator[Serving]:
    """Start a server, wait until it says its port (the group of `says`), and leave nothing of it behind."""
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield Serving(process, _port(process, says))
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """End a server and all that it started, politely at first: mbench's tidies up."""
    relatives: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        relatives = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    process.kill()
    process.wait()
    for one in relatives:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()


def _port(process: subprocess.Popen[str], says: str) -> int:
    assert process.stdout is not None
    lines: list[str] = []
    late = threading.Timer(START_S, process.kill)
    late.start()
    try:
        for line in process.stdout:
            lines.append(line)
            if found := re.search(says, line):
                return int(found[1])
    finally:
        late.cancel()
    raise AssertionError(f"no port within {START_S} s: {lines}")


def mbench_server(
    program: Path, *options: str | Path, under: tuple[str, ...] = ()
) -> contextlib.AbstractContextManager[Serving]:
    """Start mbench's server."""
    return started(*under, program, "--port", "0", *options, says=r"mbench-server: listening on 127\.0\.0\.1:(\d+)")


def session(server: Serving) -> Any:
    """Return a line to a server, which must answer soon."""
    from mbench.devices import line
    from mbench.devices.address import Address

    return line.connect(Address.parse(server.url), waiting=lambda _: None, patience_s=1.0, answer_s=30.0)


@contextlib.contextmanager
def board(program: Path, tmp_path: Path, *options: str) -> Iterator[Serving]:
    """Start a server that must have neither files, processes nor descriptors left at the end, and serve somebody."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    with mbench_server(program, "--dir", folder, *options) as started:
        before = psutil.Process(started.process.pid).num_fds()
        yield started
        if started.process.poll() is None:
            serves(started)
            settled(started, before)
        assert list(folder.iterdir()) == []


def serves(server: Serving) -> None:
    with contextlib.closing(session(server)) as line:
        assert line.info.architecture == os.uname().machine


def settled(server: Serving, descriptors: int) -> None:
    """Wait until nothing of former clients is left."""
    process = psutil.Process(server.process.pid)
    deadline = time.monotonic() + 300
    while (process.num_fds() > descriptors or process.children()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.num_fds() <= descriptors
    assert process.children() == []


def tvm_server(*options: str) -> contextlib.AbstractContextManager[Serving]:
    """Start TVM's own server."""
    port = free_port()
    command = (sys.executable, "-m", "tvm.exec.rpc_server", "--host", "127.0.0.1", "--port", str(port))
    return started(*command, "--port-end", str(port + 1), *options, says=r"bind to 127\.0\.0\.1:(\d+)")


def tvm_tracker() -> contextlib.AbstractContextManager[Serving]:
    """Start TVM's tracker."""
    port = free_port()
    command = (sys.executable, "-m", "tvm.exec.rpc_tracker", "--host", "127.0.0.1", "--port", str(port))
    return started(*command, "--port-end", str(port + 1), says=r"bind to 127\.0\.0\.1:(\d+)")


def wait_for_devices(tracker: Serving, wanted: dict[str, int]) -> None:
    """Wait until a tracker has so many devices of each key."""
    from tvm import rpc

    asking = rpc.connect_tracker("127.0.0.1", tracker.port)
    for _ in range(600):
        found: dict[str, int] = {}
        for one in asking.summary()["server_info"]:
            found[one["key"].removeprefix("server:")] = found.get(one["key"].removeprefix("server:"), 0) + 1
        if found == wanted:
            break
        time.sleep(0.1)
    assert found == wanted
    asking.close()


def has_tracker() -> bool:
    """Say whether TVM's tracker can be started: it needs tornado."""
    return importlib.util.find_spec("tornado") is not None


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Proxy:
    """Passes bytes on between clients and a server; cuts the first line when told to, or after `after` bytes to it."""

    def __init__(self, server: Serving, *, after: int | None = None) -> None:
        self._target, self._after = server.port, after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._lines: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        """The address that stands for the server's."""
        return f"rpc://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Cut what is connected now."""
        lines, self._lines = self._lines, []
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def close(self) -> None:
        """Cut everything and listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._listener.close()
        self.cut()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._lines += [client, server]
                for source, sink, limit in ((client, server, self._after), (server, client, None)):
                    threading.Thread(target=self._pass, args=(source, sink, limit), daemon=True).start()
                self._after = None

    def _pass(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                sink.sendall(data)
                passed += len(data)
                if limit is not None and passed > limit:
                    self.cut()
        for line in (source, sink):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def stranger(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listen on loopback and let `answer` deal with each client; yield the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    answer(client)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"rpc://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
