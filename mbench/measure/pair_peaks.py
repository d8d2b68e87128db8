"""Measure the peak of a CPU in multiply-adds of bfloat16, by the dot products of pairs that its networks are made of.

The kernel is built by TVM for the same target as the networks and runs as those of `cpu_peaks` do.
"""

from __future__ import annotations

import datetime

import numpy as np
import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import bfloat16
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.core import dtypes
from mbench.core.errors import MeasureError
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Fraction
from mbench.hardware import platforms
from mbench.measure import cpu_peaks
from mbench.measure.byte_peaks import CHAINS, STEPS
from mbench.measure.cpu_peaks import PeakPlace
from mbench.measure.probe import Probe, sample_in_turn

_ONES = 0x3F803F80
"""A pair of ones."""
METHOD = (
    f"bfloat16: operations/s of {CHAINS} independent sums on each thread by vdpbf16ps, two a multiply-add, sums in "
    "float32"
)


def calibrate(
    target: Target, threads: int, *, progress: Fraction = lambda _: None, place: PeakPlace | None = None
) -> Calibration:
    """Measure the peak of a machine, by default this one; the answer has that alone.

    Raises:
        MeasureError: the target has no dot product of bfloat16.
    """
    if dtypes.BFLOAT16 not in platforms.of(target).types(target):
        raise MeasureError(f"target '{target.name}' has no dot product of bfloat16")
    place = place or cpu_peaks.Here()
    lanes = KernelMachine.of(target).lanes()
    module = place.load(tvm.IRModule({"main": kernel(lanes, threads)}), tvm.target.Target(target.tvm_options))
    arguments = []
    ones, sums = np.full(lanes, _ONES, bfloat16.WORD), np.zeros(threads * CHAINS * lanes, "float32")
    for values in (ones, ones, sums):
        array = tvm.runtime.empty(values.shape, str(values.dtype), place.device)
        array.copyfrom(values)
        arguments.append(array)
    work = 2 * bfloat16.PAIR * lanes * threads * CHAINS * STEPS
    probe = Probe(module, place.device, arguments, work=work)
    sample_in_turn([probe], progress)
    return Calibration(
        method=METHOD,
        measured_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        threads=threads,
        flops_per_s={dtypes.BFLOAT16: probe.rate()},
        bytes_per_s={},
        working_set_bytes={},
        others_busy=place.others_busy(),
    )


def kernel(lanes: int, threads: int) -> tirx.PrimFunc:
    """Return chains of dot products on each thread. x, w: (lanes,) words; y: (threads * CHAINS * lanes,) float32."""
    builder = IRBuilder()
    with builder, T.prim_func():
        T.func_attr({"tirx.noalias": True, "global_symbol": "main"})
        x, w = (T.arg(name, T.buffer((lanes,), bfloat16.WORD)) for name in "xw")
        y = T.arg("y", T.buffer((threads * CHAINS * lanes,), "float32"))
        with bfloat16.functions(), T.parallel(threads) as thread:
            sums = emit.Accumulators(CHAINS, 1, lanes)
            start = thread * (CHAINS * lanes)
            sums.each(lambda chain, _, lane: y[start + chain * lanes + lane])
            values, weights = (T.bind(emit.vector(array, 0, lanes)) for array in (x, w))
            with T.serial(STEPS):
                for chain in range(CHAINS):
                    sums.combine(chain, 0, values, lambda total, read: bfloat16.dot(total, read, weights, lanes))
            for chain in range(CHAINS):
                emit.store(y, sums.vector(chain, 0), start + chain * lanes, lanes)
    return builder.get()
