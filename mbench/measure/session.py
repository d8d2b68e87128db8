"""An artifact loaded and ready to run in this process. Loads; measures nothing.

Importing this module imports tvm: the number of threads must be in the environment before (`TVM_NUM_THREADS`), since
the runtime otherwise takes half of the processors and does not say so.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tvm
from tvm import relax

from mbench import artifact
from mbench.artifact import Artifact
from mbench.errors import MeasureError


class Session:
    """One copy of an artifact's program and weights, with its input on the device."""

    def __init__(self, loaded: Artifact) -> None:
        self.artifact = loaded
        self.device = tvm.cpu()
        module = tvm.runtime.load_module(str(loaded.library))
        self.vm = relax.VirtualMachine(module, self.device)
        with np.load(loaded.reference) as reference:
            self.expected: np.ndarray = reference["output"]
            self.input = self.tensor(reference["input"])

    def tensor(self, values: np.ndarray) -> Any:
        """Return a copy of an array on the device."""
        return tvm.runtime.tensor(np.ascontiguousarray(values), self.device)

    def run(self) -> np.ndarray:
        """Run once; return the output (N, 1000)."""
        return np.asarray(self.vm[artifact.ENTRY](self.input).numpy())

    def timer(self, *, number: int, repeat: int) -> Any:
        """Return a function that runs 1 + number x repeat times and returns `repeat` means, in seconds.

        The clock is the runtime's own (std::chrono); the first run is thrown away. Source: vm.time_evaluator.
        """
        evaluate = self.vm.time_evaluator(artifact.ENTRY, self.device, number=number, repeat=repeat)
        return lambda: tuple(float(seconds) for seconds in evaluate(self.input).results)


def threads_in_use(wanted: int) -> int:
    """Return how many threads the runtime uses.

    Raises:
        MeasureError: it does not use as many as it was told to.
    """
    threads = int(tvm.get_global_func("runtime.NumThreads")())
    if threads != wanted:
        raise MeasureError(f"the runtime uses {threads} threads, {wanted} were set; check TVM_NUM_THREADS and affinity")
    return threads


def affinity() -> tuple[int, ...] | None:
    """Return where the thread that runs networks may run, as the runtime bound it; None if the system does not tell."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else None
