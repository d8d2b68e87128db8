"""Measure the ceilings of a CPU: peak FLOP/s, and read bandwidth from each level of the memory hierarchy.

The kernels are built by TVM for the same target as the networks, so that the ceilings are those of the code that is
judged by them: same instruction set, same threads. Runs inside a worker process.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import tvm
from tvm.script import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.measure import activity
from mbench.records import Calibration, Target

METHOD = (
    "highest of 7 samples: FLOP/s of 12 independent chains of multiply-adds in vector registers on each thread; "
    "bytes/s of each thread summing its own float32 array of half a cache's size (DRAM: twice the last level)"
)
_CHAINS = 12
_READERS = 8
_STEPS = 20_000
_MIN_BYTES_A_CALL = 16 * 2**20  # of each thread, so that starting the threads does not count
_SAMPLES = 7
_SAMPLE_S = 0.02
_DRAM_MIN_BYTES = 64 * 2**20
_MEMORY_SHARE = 8


def _peak_kernel(threads: int, lanes: int) -> Any:
    chains, steps = _CHAINS, _STEPS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def peak(  # type: ignore[no-untyped-def]
        x: T.Buffer((threads, chains + 2, lanes), "float32"),  # type: ignore[valid-type]
        y: T.Buffer((threads, chains, lanes), "float32"),  # type: ignore[valid-type]
    ):
        T.func_attr({"tirx.noalias": True})
        for t in T.parallel(threads):
            acc = T.alloc_buffer((chains, lanes), "float32", scope="local")
            for c in T.unroll(chains):
                for i in T.vectorized(lanes):
                    acc[c, i] = x[t, c, i]
            for _ in range(steps):
                for c in T.unroll(chains):
                    for i in T.vectorized(lanes):
                        acc[c, i] = acc[c, i] * x[t, chains, i] + x[t, chains + 1, i]
            for c in T.unroll(chains):
                for i in T.vectorized(lanes):
                    y[t, c, i] = acc[c, i]

    return peak


def _read_kernel(threads: int, lanes: int, lines: int, passes: int) -> Any:
    chains = _READERS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def read(  # type: ignore[no-untyped-def]
        x: T.Buffer((threads, lines, chains, lanes), "float32"),  # type: ignore[valid-type]
        y: T.Buffer((threads, chains, lanes), "float32"),  # type: ignore[valid-type]
    ):
        T.func_attr({"tirx.noalias": True})
        for t in T.parallel(threads):
            acc = T.alloc_buffer((chains, lanes), "float32", scope="local")
            for c in T.unroll(chains):
                for i in T.vectorized(lanes):
                    acc[c, i] = T.float32(0)
            for _ in range(passes):
                for line in range(lines):
                    for c in T.unroll(chains):
                        for i in T.vectorized(lanes):
                            acc[c, i] = acc[c, i] + x[t, line, c, i]
            for c in T.unroll(chains):
                for i in T.vectorized(lanes):
                    y[t, c, i] = acc[c, i]

    return read


def calibrate(target: Target, threads: int, *, progress: Callable[[float], None] = lambda _: None) -> Calibration:
    """Measure the ceilings of this machine at `threads` threads with code for `target`."""
    lanes = target.processor.vector_bits // 32
    tvm_target = tvm.target.Target(dict(target.tvm))
    watch = activity.Watch()
    flops = threads * _CHAINS * _STEPS * lanes * 2
    shape = (threads, _CHAINS + 2, lanes)
    # x ← x/2 + 1/2 stays at 1/2 … 1: finite, and no denormals
    seconds = _best(_peak_kernel(threads, lanes), tvm_target, np.full(shape, 0.5, "float32"), (threads, _CHAINS, lanes))
    sizes = _working_sets(target, threads)
    bandwidth = {}
    for index, (level, size) in enumerate(sizes.items()):
        progress((index + 1) / (len(sizes) + 1))
        lines = max(1, size // (threads * _READERS * lanes * 4))
        data = np.ones((threads, lines, _READERS, lanes), "float32")
        sizes[level] = data.nbytes
        passes = max(1, threads * _MIN_BYTES_A_CALL // data.nbytes)
        kernel = _read_kernel(threads, lanes, lines, passes)
        bandwidth[level] = passes * data.nbytes / _best(kernel, tvm_target, data, (threads, _READERS, lanes))
    wall, others = watch.read_s()
    return Calibration(
        method=METHOD,
        measured_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        threads=threads,
        flops_per_s={"float32": flops / seconds},
        bytes_per_s=bandwidth,
        working_set_bytes=sizes,
        others_busy=others / wall,
    )


def _working_sets(target: Target, threads: int) -> dict[str, int]:
    """Return the bytes to go through at each level: half of what the threads' caches hold; for DRAM, far more."""
    processor = target.processor
    sizes: dict[str, int] = {}
    last = 0
    for level, cache in (("L1", processor.l1d), ("L2", processor.l2), ("L3", processor.l3)):
        if cache is None:
            continue
        copies = -(-threads // cache.shared_by)
        last = copies * int(cache.bytes.value)
        sizes[level] = last // 2
    limit = psutil.virtual_memory().available // _MEMORY_SHARE
    if sizes.get("L3", 0) > limit:
        del sizes["L3"]
    sizes["DRAM"] = min(max(2 * last, _DRAM_MIN_BYTES), limit)
    return sizes


def _best(kernel: Any, target: Any, data: np.ndarray, result_shape: tuple[int, ...]) -> float:
    """Return the seconds of the fastest sample: interference only ever slows a kernel down."""
    library = tvm.compile(tvm.IRModule({"main": kernel.with_attr("global_symbol", "main")}), target=target)
    x, y = tvm.runtime.tensor(data), tvm.runtime.tensor(np.zeros(result_shape, "float32"))
    first = library.mod.time_evaluator("main", tvm.cpu(), number=1, repeat=1)(x, y).results[0]
    number = max(1, int(_SAMPLE_S / max(first, 1e-7)))
    return float(min(library.mod.time_evaluator("main", tvm.cpu(), number=number, repeat=_SAMPLES)(x, y).results))
