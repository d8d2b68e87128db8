"""Layers of bfloat16 for tests: which processors run them, and how their arrays are passed to kernels."""

from __future__ import annotations

from collections.abc import Sequence

import kernel_cases as kernels
import ml_dtypes
import numpy as np
import pytest
from kernel_cases import Layer

from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.rule import KernelPlan
from mbench.hardware import host

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
runs_here = pytest.mark.skipif(
    not {"avx512_bf16", "avx512bw", "avx512vl"} <= set(host.describe().features),
    reason="the processor has no AVX-512 BF16",
)
"""Marks a test that executes dot products of bfloat16: not every processor that CI runs on has them."""


def executed(plan: KernelPlan, layer: Layer, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Build and run a plan on numbers of bfloat16, its weights packed; return what it gives in float32."""
    ready = list(arrays)
    if plan.pack is not None:
        ready[1] = plan.pack(ready[1])
    stored = [array.view(np.uint16) if array.dtype == BFLOAT16 else array for array in ready]
    found = kernels.run(kernels.compiled(plan.function), stored, layer.output_shape, "uint16")
    wide: np.ndarray = found.view(BFLOAT16).astype(np.float32)
    return wide


def problem(rule: str, layer: Layer, machine: KernelMachine) -> str | None:
    """Return what is wrong with the first kernel that a rule offers for a layer; None if nothing is."""
    arrays = kernels.drawn(layer)
    plan = kernels.built(rule, layer, machine, kernels.candidates(rule, layer, machine)[0])
    return kernels.wrong(layer, executed(plan, layer, arrays), arrays)
