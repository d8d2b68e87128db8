"""An artifact loaded and ready to run in this process. Loads; measures nothing.

Importing this module imports tvm: the number of threads must be in the environment before (`TVM_NUM_THREADS`), since
the runtime otherwise takes half of the processors without a message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import tvm
import tvm_ffi
from tvm.runtime.vm import VirtualMachine

from mbench.core import regular_files
from mbench.core.artifact import (
    CALIBRATION_ELEMENTS,
    CALIBRATION_ENTRY,
    CALIBRATION_GRAPH_ENTRY,
    ENTRY,
    GRAPH_ENTRY,
    Artifact,
)
from mbench.core.errors import MeasureError
from mbench.hardware import host
from mbench.measure.numerics import Expected

_ONE_EACH = -2
"""TVM's mode of the thread pool that pins each thread to one of those given. Source: kSpecifyOneCorePerThread."""
Inputs = Mapping[str, tuple[Any, ...]]
"""By entry, the tensors on the device that it reads."""
Events = list[tuple[str, float]]
"""What the VM called in one run, in order: the name of the kernel or builtin, and the seconds that it took."""


class Instrument(Protocol):
    """Reads the clock before and after each kernel and each builtin of a program's runs."""

    def run(self, entry: str) -> Events:
        """Run an entry of the program once; return what it called."""
        ...

    def remove(self) -> None:
        """Let runs be as they were."""
        ...


class LoadedProgram(Protocol):
    """One copy of an artifact's program and weights, with the inputs of each entry beside it, here or far away."""

    artifact: Artifact
    expected: Expected

    def run(self) -> tuple[np.ndarray, ...]:
        """Run once; return the outputs."""
        ...

    def timer(self, *, number: int, repeat: int, entry: str = ENTRY) -> Callable[[], tuple[float, ...]]:
        """Return a function that runs 1 + number x repeat times and returns `repeat` means, in seconds."""
        ...

    def instrument(self) -> Instrument:
        """Set an instrument, which stays until it is removed."""
        ...


class LocalProgram:
    """One copy of an artifact's program and weights, with its inputs on the device."""

    def __init__(
        self,
        loaded: Artifact,
        device: Any = None,
        instrument: Callable[[Any, Inputs], Instrument] | None = None,
    ) -> None:
        """Load an artifact.

        Args:
            loaded: what to load.
            device: where to, as TVM names it; by default the CPU.
            instrument: made of the virtual machine and the inputs of each entry; by default one that reads the clock.
        """
        self.artifact = loaded
        self.device = device or tvm.cpu()
        self._instrument = instrument or _Callback
        module = tvm_ffi.load_module(regular_files.utf8_name(loaded.library))
        self.vm = VirtualMachine(module, self.device)
        values, self.expected = entries(loaded)
        self._inputs = {entry: tuple(map(self.tensor, given)) for entry, given in values.items()}
        self._inputs |= {GRAPH_ENTRY: self.inputs, CALIBRATION_GRAPH_ENTRY: self._inputs[CALIBRATION_ENTRY]}
        self.whole = GRAPH_ENTRY if self._has(GRAPH_ENTRY) else ENTRY
        """The entry that is timed from end to end."""

    def _has(self, entry: str) -> bool:
        try:
            self.vm[entry]
        except AttributeError:
            return False
        return True

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The network's inputs on the device."""
        return self._inputs[ENTRY]

    def tensor(self, values: np.ndarray) -> Any:
        """Return a copy of an array on the device."""
        return tvm.runtime.tensor(np.asarray(values, order="C"), self.device)

    def run(self, entry: str | None = None) -> tuple[np.ndarray, ...]:
        """Run an entry once, by default the whole network's; return the outputs."""
        return arrays(self.vm[entry or self.whole](*self.inputs))

    def timer(self, *, number: int, repeat: int, entry: str | None = None) -> Callable[[], tuple[float, ...]]:
        """Return a function that runs 1 + number x repeat times and returns `repeat` means, in seconds.

        The clock is the runtime's own for the device (std::chrono on a CPU, CUDA events on a GPU); the first run is
        thrown away. Source: vm.time_evaluator.
        """
        entry = entry or self.whole
        evaluate = self.vm.time_evaluator(entry, self.device, number=number, repeat=repeat)
        return lambda: tuple(float(seconds) for seconds in evaluate(*self._inputs[entry]).results)

    def launch(self, entry: str | None = None) -> Any:
        """Run an entry once, by default the whole network's; on a GPU, without waiting for it. Return what it gives."""
        entry = entry or self.whole
        return self.vm[entry](*self._inputs[entry])

    def instrument(self) -> Instrument:
        """Set an instrument, which stays until it is removed."""
        return self._instrument(self.vm, self._inputs)


class _Callback:
    """The VM calls it before and after each kernel and each builtin. Source: VirtualMachine.set_instrument."""

    def __init__(self, vm: Any, inputs: Inputs) -> None:
        self._vm, self._inputs = vm, inputs
        self._events: Events = []
        self._start = 0
        vm.set_instrument(self._read)

    def _read(self, _function: Any, name: str, before: bool, _result: Any, *_arguments: Any) -> int:
        now = time.perf_counter_ns()
        if before:
            self._start = time.perf_counter_ns()
        else:
            self._events.append((name, (now - self._start) * 1e-9))
        return 0

    def run(self, entry: str) -> Events:
        self._events.clear()
        self._vm[entry](*self._inputs[entry])
        return list(self._events)

    def remove(self) -> None:
        """Replace the instrument by a no-op: TVM's VM cannot remove one."""
        self._vm.set_instrument(lambda *_: 0)


def entries(loaded: Artifact) -> tuple[dict[str, tuple[np.ndarray, ...]], Expected]:
    """Return the inputs of each entry of an artifact's program, and what the network has to give for its own."""
    with np.load(loaded.reference) as reference:
        given = tuple(reference[name] for name in reference.files if name.startswith("input"))
        outputs = tuple(reference[name] for name in reference.files if name.startswith("output"))
    numbers = outputs[0].astype("float32")
    calibration = np.resize(numbers, CALIBRATION_ELEMENTS)  # again from the start where the network has fewer outputs
    manifest = loaded.manifest
    expected = Expected(
        outputs=outputs,
        names=manifest.output_names,
        reference=manifest.reference,
        dtype=manifest.reference_dtype,
        resolution=manifest.reference_resolution,
        tolerated=manifest.tolerance,
    )
    return {ENTRY: given, CALIBRATION_ENTRY: (calibration,)}, expected


def arrays(given: Any) -> tuple[np.ndarray, ...]:
    """Return what an entry gives, one tensor or several, as arrays."""
    tensors = (given,) if hasattr(given, "numpy") else tuple(given)
    return tuple(np.asarray(tensor.numpy()) for tensor in tensors)


def use_threads(wanted: int) -> int:
    """Pin each of the runtime's threads to a core, as far as there are cores; return how many it uses.

    By itself, the runtime takes the first processors, which may share a core or not be ours. It also leaves the calling
    thread unpinned, which works with the others and can land on a core of theirs. Call this before anything
    runs. TVM_BIND_THREADS=0 pins none.

    Raises:
        MeasureError: it does not use as many as it should.
    """
    bound = os.environ.get("TVM_BIND_THREADS", "1") == "1"
    os.environ["TVM_BIND_THREADS"] = "0"  # for the threads that are started now
    threads = threads_in_use(wanted)
    processors = host.processors_for(threads)
    if bound and len(processors) == threads and hasattr(os, "sched_setaffinity"):
        os.environ["TVM_BIND_THREADS"] = "1"
        tvm.get_global_func("runtime.config_threadpool")(_ONE_EACH, threads, [str(number) for number in processors])
        os.sched_setaffinity(0, processors[:1])
    return threads


def threads_in_use(wanted: int) -> int:
    """Return how many threads the runtime uses; pin none.

    Raises:
        MeasureError: it does not use as many as it should.
    """
    threads = int(tvm.get_global_func("runtime.NumThreads")())
    if threads != wanted:
        raise MeasureError(f"the runtime uses {threads} threads, {wanted} were set; check TVM_NUM_THREADS and affinity")
    return threads


def affinity() -> tuple[int, ...] | None:
    """Return where the thread that runs networks may run, as the runtime pinned it; None if it is unknown."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None
