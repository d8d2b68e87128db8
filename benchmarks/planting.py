"""What is planted in the code of a network while it is built: more work in one kernel, or code that lies elsewhere.

The result of the network stays the same. Used by gate_calibration.py and by tests: a gate is believed because it is
seen to catch what makes a network slower, and to be silent about what does not.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import tvm
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.schedules import dispatch, emit
from mbench.compile.schedules.rule import Scheduled
from mbench.hardware import linker

Plant = Callable[[], contextlib.AbstractContextManager[Any]]
"""Changes how kernels are written while it is entered."""


@contextlib.contextmanager
def planted(kernel: str, plant: Plant) -> Iterator[list[str]]:
    """Plant something into `kernel` in the builds of this process; yield the kernels that were changed."""
    changed: list[str] = []

    def schedule_all(functions: Any, machine: Any, choices: Any = None, _prefer: Any = None) -> dict[str, Scheduled]:
        found = {}
        for name, function in dict(functions).items():
            with plant() if name == kernel else contextlib.nullcontext():
                found[name] = dispatch.schedule(function, machine, choices)
            if name == kernel:
                changed.append(name)
        return found

    with mock.patch.object(dispatch, "schedule_all", schedule_all):
        yield changed


def serial_work(iterations: int) -> Plant:
    """Return what lets a kernel begin with a chain of dependent multiply-adds, on the calling thread.

    On x86 the kernel waits for its end; else the processor would begin the kernel beside some 200 of the last ones.
    """

    def begin(flat: list[Any]) -> None:
        source, output = flat[0], flat[-1]
        T.buffer_store(output, 1.0, [0])
        with T.serial(iterations):
            T.buffer_store(output, output[0] * 0.5 + source[0], [0])
        if str(tvm.target.Target.current().attrs.get("mtriple", "")).startswith("x86_64"):
            T.evaluate(tirx.call_llvm_intrin("void", "llvm.x86.sse2.lfence"))

    return lambda: _beginning(begin)


@contextlib.contextmanager
def one_more_instruction() -> Iterator[None]:
    """Let each innermost loop have one more instruction: a prefetch of what is at hand anyway."""
    source: list[Any] = []
    depth_seen: list[bool] = []
    original = emit.loop

    @contextlib.contextmanager
    def loop(count: Any) -> Iterator[Any]:
        depth_seen[:] = [True] * len(depth_seen)
        depth_seen.append(False)
        with original(count) as turn:
            yield turn
            if not depth_seen.pop() and not (isinstance(count, int) and count == 1):
                emit.prefetch(source[-1], 0)

    with _beginning(lambda flat: source.append(flat[0])), mock.patch.object(emit, "loop", loop):
        yield


@contextlib.contextmanager
def moved(distance: int) -> Iterator[None]:
    """Let all code of what is built meanwhile lie `distance` bytes further on, as code does behind a changed kernel."""
    original = linker.link

    def link(command: Sequence[str], objects: Sequence[str], library: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source, room = Path(folder) / "room.s", Path(folder) / "room.o"
            source.write_text(f".text\n.skip {distance}\n")
            subprocess.run([*command, "-c", str(source), "-o", str(room)], check=True)
            original(command, [str(room), *objects], library)

    with mock.patch.object(linker, "link", link):
        yield


@contextlib.contextmanager
def _beginning(begin: Callable[[list[Any]], None]) -> Iterator[None]:
    """Let each kernel that is written meanwhile begin with what `begin` writes, given its flat parameters."""
    original = emit.Writer.function

    @contextlib.contextmanager
    def function(self: emit.Writer) -> Iterator[list[Any]]:
        with original(self) as flat:
            begin(flat)
            yield flat

    with mock.patch.object(emit.Writer, "function", function):
        yield
