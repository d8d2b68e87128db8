"""The runtimes that `peers.py` compares, on either kind of device and in each type."""

from __future__ import annotations

import cpu_runtimes
import gpu_runtimes
import int8_runtimes
from cases import Case, Runtime

from mbench.core import dtypes


def available(*, gpu: bool, dtype: str = dtypes.DEFAULT) -> dict[str, Runtime]:
    """Return the runtimes of the CPU, or of the GPU, for networks of a type."""
    if gpu:
        return gpu_runtimes.RUNTIMES
    return int8_runtimes.RUNTIMES if dtype == dtypes.INT8 else cpu_runtimes.RUNTIMES


def of(case: Case) -> dict[str, Runtime]:
    """Return the runtimes of a network."""
    return available(gpu=case.gpu, dtype=case.variant.dtype)
