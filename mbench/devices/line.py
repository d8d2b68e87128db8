"""A line to a TVM RPC server: made within a bounded time, used, and explained when it breaks.

Importing this module imports tvm: it belongs into worker processes. The other side may be mbench's own server (see
`mbench/native/server.cc`), which has functions beyond TVM's, or TVM's Python server, which has not.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tvm
from tvm import rpc

from mbench.core.errors import MeasureError
from mbench.core.progress import Fraction, Note
from mbench.devices import answers, tracker
from mbench.devices.address import Address

ANSWER_S = 10.0
"""How long a server may take to answer a greeting."""
PIECE_BYTES = 4 << 20
_NO_SERVER = ("is not TVM RPC server", "RecvAll", "SendAll", "bad_alloc", "basic_string", "vector", "Unknown event")
"""What TVM's client says of answers that no server gives, such as a key of two gigabytes."""
_AUTOMATIC = 1
"""TVM's mode of the thread pool that takes the big cores first. Source: AffinityMode::kBig."""
_HEADERS = ("Error caught from RPC call", "Traceback", "File ", "Stack trace")
_LONGEST_ERROR = 1 << 16
_NO_MEMORY = ("bad_alloc", "Cannot allocate memory", "out of memory")


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What mbench's server says about itself."""

    version: Annotated[str, msgspec.Meta(max_length=64)]
    architecture: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.+-]{1,64}$")]
    processors: Annotated[int, msgspec.Meta(ge=1, le=1 << 16)]
    server: int
    """When it was started: another one says something else."""
    session: int
    """Which session this is, counted from 1."""


class Line:
    """A connection to a server; one session with a process of its own at the other end."""

    def __init__(self, remote: Any, address: Address) -> None:
        self.remote = remote
        self.address = address
        self._functions: dict[str, Any] = {}
        self.info: ServerInfo | None = None
        with contextlib.suppress(AttributeError):  # TVM's own server has no such function
            self.info = answers.decode(self.call("mbench.info"), ServerInfo, address, "what it is")

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a global function of the server.

        Raises:
            AttributeError: the server has no such function.
        """
        if name not in self._functions:
            self._functions[name] = self.remote.get_function(name)
        return self._functions[name](*arguments)

    def files(self, patterns: Iterable[str]) -> dict[str, str]:
        """Return the machine's files that match, of those that the server lets be read; text is latin-1.

        Raises:
            MeasureError: the answer is something else.
        """
        wanted = tuple(patterns)
        found = answers.decode(self.call("mbench.files", "\n".join(wanted)), dict[str, str], self.address, "its files")
        return answers.wanted_files(found, wanted, self.address)

    def upload(self, file: Path, progress: Fraction = lambda _: None) -> None:
        """Copy a file into the folder of the session.

        Raises:
            MeasureError: it could not be written there.
        """
        if self.info is None:
            self.remote.upload(str(file), file.name)
            return
        size, done = file.stat().st_size, 0
        with file.open("rb") as source:
            while piece := source.read(PIECE_BYTES):
                wrong = self.call("mbench.append", file.name, piece, done)
                if wrong:
                    why = answers.plain(str(wrong))
                    raise MeasureError(f"{file.name} cannot be written on the device at {self.address}: {why}")
                done += len(piece)
                progress(done / size)

    def set_threads(self, wanted: int) -> int:
        """Set how many threads the runtime uses, before anything runs; return how many it says it uses.

        Raises:
            MeasureError: it does not use as many as it should.
        """
        if self.info is not None:
            self.call("mbench.threads", wanted)
        self.call("runtime.config_threadpool", _AUTOMATIC, wanted)
        threads = int(self.call("runtime.NumThreads"))
        if threads != wanted:
            hint = "start the server with TVM_NUM_THREADS" if self.info is None else "ask for fewer with --threads"
            raise MeasureError(f"the runtime at {self.address} uses {threads} threads, {wanted} were asked for; {hint}")
        return threads

    def close(self) -> None:
        """Hang up; the other end ends what it still runs."""
        self._functions.clear()
        with contextlib.suppress(RuntimeError):  # it was lost before
            self.remote.get_function("CloseRPCConnection")()


def connect(address: Address, *, waiting: Note, patience_s: float, answer_s: float = ANSWER_S) -> Line:
    """Return a line to the server at an address, or to the one that the tracker there gives.

    Args:
        address: of the server, or of a tracker.
        waiting: called again and again while all devices of a tracker are busy.
        patience_s: how long to wait for a tracker's device.
        answer_s: how long a server, or a tracker, may take to answer.

    Raises:
        MeasureError: nobody listens, it does not answer, or it is not what the address says.
    """
    host, port, key = address.host, address.port, address.ticket
    if address.key is not None:
        host, port, key = tracker.request(address, waiting=waiting, patience_s=patience_s, answer_s=answer_s)
    given = Address(host, port)
    where = str(address) if address.key is None else f"{given}, which the tracker {address} gave,"
    try:
        return _within(answer_s, lambda: Line(rpc.connect(host, port, key), address))
    except TimeoutError:
        raise MeasureError(
            f"no answer from {where} within {answer_s:g} s; "
            "it is busy with another client, hangs, or is no TVM RPC server"
        ) from None
    except RuntimeError as error:
        raise MeasureError(_refusal(error, given, where)) from error
    except answers.UNUSABLE as error:  # such as text of the server that is no UTF-8
        raise answers.unusable(where, f"{type(error).__name__}: {error}") from error


def _refusal(error: RuntimeError, given: Address, where: str) -> str:
    """Return why no session came about."""
    text = str(error)
    serve = "start one there with 'mbench device serve'"
    if "Connect to" in text and "failed" in text:
        return f"nobody listens at {where}: {_why_not(given)}; {serve}"
    if "cannot obtain address" in text:
        return f"{where}: {_why_not(given)}; check the name of the host"
    if "cannot find server that matches" in text:
        return (
            f"the server at {where} wants a key, so it waits for clients of its tracker; "
            "use rpc://HOST:PORT/KEY with the tracker's host and port"
        )
    if any(word in text for word in _NO_SERVER) or "reset" in text.lower():
        return f"what answers at {where} is no TVM RPC server; check the port, or {serve}"
    if "RPCCode::kReturn" in text or "SockChannel" in text:
        return f"the server at {where} hung up before the session began; its output may show why"
    if "protocol" in text:
        return f"the server at {where} speaks another version of TVM's RPC than apache-tvm {tvm.__version__}; {serve}"
    return f"no session with {where}: {said(error)}"


def _why_not(address: Address) -> str:
    """Return why the system cannot connect: TVM does not report it."""
    try:
        socket.create_connection((address.host, address.port), timeout=ANSWER_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return "it listens by now; try again"


def _within(seconds: float, task: Callable[[], Line]) -> Line:
    """Run a task that nothing can interrupt. After a TimeoutError it is still running; its process must end."""
    ended: list[Line | BaseException] = []

    def run() -> None:
        try:
            ended.append(task())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise TimeoutError
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]


# ---------------------------------------------------------------------------------------------------------- what broke
def said(error: BaseException) -> str:
    """Return the line of an error of TVM that says what was wrong; the other machine may have worded it."""
    lines = [line.strip() for line in str(error)[:_LONGEST_ERROR].splitlines()]
    kept = [line for line in lines if line and not any(header in line for header in _HEADERS)]
    message = answers.plain(kept[0] if kept else "no message", 4 * answers.LONGEST_LINE)
    return answers.plain(re.sub(r"^(\w+Error: )?(Check failed: \(.*?\) is false: )?", "", message))


def explain(error: RuntimeError, line: Line, target: str) -> str:
    """Return why something that was asked of a server went wrong.

    If the line was lost, the server is asked, over another one, how the process at the other end ended.

    Args:
        error: what TVM raised.
        line: the line that was used.
        target: what the library was built for.
    """
    if isinstance(error, tvm.error.RPCError):
        text = said(error)
        if any(word in str(error) for word in _NO_MEMORY):
            return f"out of memory on the device at {line.address}: {text}"
        return f"the device at {line.address} reports: {text}"
    line.close()
    try:
        again = connect(line.address, waiting=lambda _: None, patience_s=ANSWER_S)
    except MeasureError as second:
        return f"the line to {line.address} was lost, and it could not be made again: {second}"
    with contextlib.closing(again):
        return _how_ended(line, again, target)


def _how_ended(line: Line, again: Line, target: str) -> str:
    before, now = line.info, again.info
    if before is None or now is None:
        return f"the line to {line.address} was lost; TVM's own server does not report why"
    if before.server != now.server:
        return (
            f"the line to {line.address} was lost; its server was started again since, or the tracker gave another one"
        )
    ended = str(again.call("mbench.last_session")) if now.session == before.session + 1 else ""
    if not ended:
        return f"the line to {line.address} was interrupted; the device answers again"
    if ended.startswith("SIGILL"):
        return f"illegal instruction: the library for {target} uses instructions that this processor lacks"
    return f"the process on the device at {line.address} was ended by {answers.plain(ended)}"
