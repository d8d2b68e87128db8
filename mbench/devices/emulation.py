"""An emulated machine: our RPC server under QEMU's user-mode emulator on loopback, with the counting plugin.

Everything that could differ from run to run and from machine to machine is fixed: working directory, arguments and
environment as the emulated program sees them, one thread, and allocations on pages of their own, so that addresses
within pages are the same. Then counts and modelled cache traffic are the same every time.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from mbench.core import artifact
from mbench.core.errors import CollisionError, MeasureError, UsageError
from mbench.core.machine_types import Target
from mbench.core.progress import Note
from mbench.devices import toolchain
from mbench.hardware import linker
from mbench.measure import counters, decode

COUNTS = "counts.txt"
_ENVIRONMENT = {"TVM_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "64"}
_START_MAX_S = 60.0
_END_MAX_S = 60.0
_PR_SET_PDEATHSIG = 1
_SAID_CHARACTERS = 300


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmulatedMachine:
    """Everything that is needed to start the emulated machine of a target."""

    target: str
    architecture: str
    vector_bits: int
    cpu: str
    emulator: toolchain.Emulator
    server: toolchain.Server
    sysroot: Path
    plugin: Path | None
    plugin_missing: str
    cache_options: tuple[str, ...]
    line_bytes: tuple[int, ...]
    traffic_method: str | None
    counts: str = COUNTS
    """The file that the plugin writes."""

    @property
    def name(self) -> str:
        """Program, version and processor."""
        return f"{self.emulator.name} -cpu {self.cpu}"


class Running:
    """An emulated machine that waits for its one client at `port` on loopback; files lie in `folder`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, port: int, machine: EmulatedMachine) -> None:
        self.folder, self.port = folder, port
        self._process, self._machine = process, machine

    def why_gone(self) -> str:
        """Return how the machine ended, if it did by itself; empty while it runs or where it ended well."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1.0)
            return _cause(code, self._machine, _said(self.folder)) if code else ""
        return ""

    def finish(self) -> None:
        """Wait for the end of the program, once its client is gone; its counts are written then.

        Raises:
            MeasureError: it did not end well.
        """
        try:
            code = self._process.wait(_END_MAX_S)
        except subprocess.TimeoutExpired:
            raise MeasureError(f"{self._machine.emulator.name} did not end within {_END_MAX_S:g} s") from None
        if code:
            raise MeasureError(_cause(code, self._machine, _said(self.folder)))


def check(target: Target) -> None:
    """Notice, before any work, what this machine lacks to emulate a target.

    Raises:
        UsageError: it lacks something; the message says what to install.
    """
    triple = str(target.tvm.get("mtriple", ""))
    if "qemu_cpu" not in target.emulation:
        said = f"target '{target.name}' cannot be emulated: QEMU does not execute its instructions"
        raise CollisionError(said, "--device", "--target")
    toolchain.emulator(triple)
    toolchain.sysroot(triple)
    decode.check_installed()


def prepare(target: Target, say: Note = lambda _: None) -> EmulatedMachine:
    """Return the emulated machine of a target, with its server and its plugin built if they are not there yet.

    Args:
        target: with `emulation.qemu_cpu`.
        say: called with a line about what takes long.

    Raises:
        UsageError: something is missing; the message says what to install.
    """
    check(target)
    triple = str(target.tvm["mtriple"])
    emulator = toolchain.emulator(triple)
    plugin, missing = None, ""
    try:
        plugin = toolchain.plugin(emulator)
    except UsageError as error:
        missing = str(error)
        say(f"no counts: {missing}")
    options, line_bytes = counters.cache_options(target)
    return EmulatedMachine(
        target=target.name,
        architecture=linker.architecture(triple),
        vector_bits=target.processor.vector_bits,
        cpu=target.emulation["qemu_cpu"],
        emulator=emulator,
        server=toolchain.server(triple, say),
        sysroot=toolchain.sysroot(triple),
        plugin=plugin,
        plugin_missing=missing,
        cache_options=options,
        line_bytes=line_bytes,
        traffic_method=counters.traffic_method(target) if line_bytes else None,
    )


@contextlib.contextmanager
def running(machine: EmulatedMachine, library: Path, folder: Path) -> Iterator[Running]:
    """Start an emulated machine and yield it; it does not outlive the block, nor this process.

    Args:
        machine: what to start.
        library: the compiled network, which the machine finds as `model.so`.
        folder: an empty one, for what it reads and writes.

    Raises:
        MeasureError: it did not start.
    """
    (folder / artifact.LIBRARY).symlink_to(library.resolve())
    (folder / toolchain.PROGRAM).symlink_to(machine.server.program)
    with (folder / "said.txt").open("wb") as said, contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            _command(machine), stdout=subprocess.PIPE, stderr=said, text=True, cwd=folder, env=_ENVIRONMENT,
            preexec_fn=_end_with_parent,
        )  # fmt: skip
        stack.callback(_kill, process)
        yield Running(process, folder, _port(process, machine, folder), machine)


def _command(machine: EmulatedMachine) -> list[str]:
    words = [machine.emulator.command, "-cpu", machine.cpu, "-L", str(machine.sysroot)]
    if machine.plugin:
        options = (str(machine.plugin), f"out={COUNTS}", f"match=/{artifact.LIBRARY}", *machine.cache_options)
        words += ["-plugin", ",".join(options)]
    return [*words, f"./{toolchain.PROGRAM}", "--once", "--port", "0", "--dir", "."]


def _port(process: subprocess.Popen[str], machine: EmulatedMachine, folder: Path) -> int:
    """Wait for the server's first line, which names the port."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        line = process.stdout.readline() if selector.select(_START_MAX_S) else ""
    if not line:
        process.kill()
        code = process.wait()
        raise MeasureError(f"the emulated machine did not start: {_cause(code, machine, _said(folder))}")
    return int(line.rpartition(":")[2])


def _cause(code: int, machine: EmulatedMachine, said: str) -> str:
    detail = f": {said}" if said else ""
    if code == -signal.SIGILL:
        return (
            f"illegal instruction: the code for target '{machine.target}' uses instructions that "
            f"{machine.emulator.name} does not execute with '-cpu {machine.cpu}'{detail}"
        )
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"{machine.emulator.name} was ended by {signal.Signals(-code).name}{detail}"
    return f"{machine.emulator.name} ended with status {code}{detail}"


def _said(folder: Path) -> str:
    """Return the last line that the emulator or the server wrote."""
    lines = (folder / "said.txt").read_text(errors="replace").split("\n")
    return next((line.strip()[:_SAID_CHARACTERS] for line in reversed(lines) if line.strip()), "")


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _end_with_parent() -> None:
    """Runs in the child before the emulator: it shall not outlive the worker, however that ends."""
    prctl: Callable[..., int] = ctypes.CDLL(None).prctl
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
