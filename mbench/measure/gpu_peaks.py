"""Measure the peaks of an NVIDIA GPU: operations/s in float32, float16 and int8, and bytes/s of L2 and DRAM.

The kernels are built by TVM for the same target as the networks. Each is timed by TVM's own timer (CUDA events) over
many launches in a row. Runs inside a worker process that has loaded CUDA's runtime.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

import tvm
from tvm.script import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.core import dtypes
from mbench.core.machine_types import Calibration, Target
from mbench.core.progress import Fraction
from mbench.measure import activity
from mbench.measure.probe import Probe, sample_in_turn

METHOD = (
    "highest of 20 samples, taken in 5 turns, by CUDA events: FLOP/s in float32 of 8 independent chains of "
    "multiply-adds a thread, in float16 of tensor cores (mma.sync m16n8k16, float32 sums) with 8 independent sums a "
    "warp, operations/s in int8 of the same (m16n8k32, uint8 x int8, int32 sums); bytes/s of all threads summing an "
    "array of at most half of L2 many times over (L2), or of 8 times L2, at least 1 GiB, once (DRAM)"
)
_FLOAT, _HALF, _BYTE = dtypes.of("float32"), dtypes.of("float16"), dtypes.of(dtypes.INT8)
LEVELS = ("L2", "DRAM")
THREADS = 256
BLOCKS_PER_SM = 8
_CHAINS = 8
_STEPS = 4096
_MMA_SHAPE, _BYTE_MMA_SHAPE = (16, 8, 16), (16, 8, 32)
_VECTOR = 4
_LOADS = 4
"""Loads of 16 bytes that a thread has under way."""
_DRAM_TIMES_L2 = 8
_DRAM_MIN_BYTES = 2**30
_MEMORY_SHARE = 4
_L2_BYTES_A_CALL = 2**30


def fma_kernel(blocks: int, steps: int = _STEPS) -> Any:
    """Return a kernel in which each thread makes `steps` multiply-adds in each of its chains.

    x: (chains + 2,) float32, the beginnings, the factor, the addend; y: (blocks, threads, chains) float32.
    """
    chains, threads = _CHAINS, THREADS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def fma(  # type: ignore[no-untyped-def]
        x: T.Buffer((chains + 2,), "float32"),  # type: ignore[valid-type]
        y: T.Buffer((blocks, threads, chains), "float32"),  # type: ignore[valid-type]
    ):
        T.func_attr({"tirx.noalias": True})
        for b in T.thread_binding(blocks, thread="blockIdx.x"):
            for t in T.thread_binding(threads, thread="threadIdx.x"):
                acc = T.alloc_buffer((chains,), "float32", scope="local")
                for c in T.unroll(chains):
                    acc[c] = x[c]
                for _ in range(steps):
                    for c in T.unroll(chains):
                        acc[c] = acc[c] * x[chains] + x[chains + 1]
                for c in T.unroll(chains):
                    y[b, t, c] = acc[c]

    return fma


def mma_kernel(blocks: int, steps: int = _STEPS) -> Any:
    """Return a kernel in which each warp adds `steps` matrix products (16x16 by 16x8) to each of its sums.

    x: (12,) float16, what every thread holds of both; y: (blocks, threads, chains, 4) float32.
    """
    chains, threads = _CHAINS, THREADS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def mma(  # type: ignore[no-untyped-def]
        x: T.Buffer((12,), "float16"),  # type: ignore[valid-type]
        y: T.Buffer((blocks, threads, chains, 4), "float32"),  # type: ignore[valid-type]
    ):
        T.func_attr({"tirx.noalias": True})
        for b in T.thread_binding(blocks, thread="blockIdx.x"):
            for t in T.thread_binding(threads, thread="threadIdx.x"):
                left = T.alloc_buffer((8,), "float16", scope="local")
                right = T.alloc_buffer((4,), "float16", scope="local")
                acc = T.alloc_buffer((chains * 4,), "float32", scope="local")
                for i in T.unroll(8):
                    left[i] = x[i]
                for i in T.unroll(4):
                    right[i] = x[8 + i]
                for i in T.unroll(chains * 4):
                    acc[i] = T.float32(0)
                for _ in range(steps):
                    for c in T.unroll(chains):
                        T.evaluate(
                            T.ptx_legacy.mma(
                                "m16n8k16", "row", "col", "fp16", "fp16", "fp32",
                                left.data, 0, right.data, 0, acc.data, c * 4, False, dtype="float32",
                            )
                        )  # fmt: skip
                for i in T.unroll(chains * 4):
                    y[b, t, i // 4, i % 4] = acc[i]

    return mma


def byte_mma_kernel(blocks: int, steps: int = _STEPS) -> Any:
    """Return a kernel in which each warp adds `steps` matrix products of bytes (16x32 by 32x8) to each of its sums.

    x: (6,) int32, words of four bytes, what every thread holds of both; y: (blocks, threads, chains, 4) int32.
    """
    chains, threads = _CHAINS, THREADS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def byte_mma(  # type: ignore[no-untyped-def]
        x: T.Buffer((6,), "int32"),  # type: ignore[valid-type]
        y: T.Buffer((blocks, threads, chains, 4), "int32"),  # type: ignore[valid-type]
    ):
        T.func_attr({"tirx.noalias": True})
        for b in T.thread_binding(blocks, thread="blockIdx.x"):
            for t in T.thread_binding(threads, thread="threadIdx.x"):
                left = T.alloc_buffer((4,), "int32", scope="local")
                right = T.alloc_buffer((2,), "int32", scope="local")
                acc = T.alloc_buffer((chains * 4,), "int32", scope="local")
                for i in T.unroll(4):
                    left[i] = x[i]
                for i in T.unroll(2):
                    right[i] = x[4 + i]
                for i in T.unroll(chains * 4):
                    acc[i] = 0
                for _ in range(steps):
                    for c in T.unroll(chains):
                        T.evaluate(
                            T.ptx_legacy.mma(
                                "m16n8k32", "row", "col", "uint8", "int8", "int32",
                                left.data, 0, right.data, 0, acc.data, c * 4, False, dtype="int32",
                            )
                        )  # fmt: skip
                for i in T.unroll(chains * 4):
                    y[b, t, i // 4, i % 4] = acc[i]

    return byte_mma


def read_kernel(blocks: int, tiles: int, passes: int) -> Any:
    """Return a kernel in which all threads sum an array, `passes` times over, each in 16-byte loads.

    x: (blocks, tiles, loads, threads, 4) float32; y: (blocks, threads, 4) float32. In pass p, block b reads part b + p,
    so that no pass finds what it reads in its own L1.
    """
    loads, threads, vector = _LOADS, THREADS, _VECTOR

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def read(  # type: ignore[no-untyped-def]
        x: T.Buffer((blocks, tiles, loads, threads, vector), "float32"),  # type: ignore[valid-type]
        y: T.Buffer((blocks, threads, vector), "float32"),  # type: ignore[valid-type]
    ):
        T.func_attr({"tirx.noalias": True})
        for b in T.thread_binding(blocks, thread="blockIdx.x"):
            for t in T.thread_binding(threads, thread="threadIdx.x"):
                acc = T.alloc_buffer((loads, vector), "float32", scope="local")
                got = T.alloc_buffer((loads, vector), "float32", scope="local")
                for r in T.unroll(loads):
                    for v in T.vectorized(vector):
                        acc[r, v] = T.float32(0)
                for p in range(passes):
                    for tile in range(tiles):
                        for r in T.unroll(loads):
                            for v in T.vectorized(vector):
                                got[r, v] = x[(b + p) % blocks, tile, r, t, v]
                        for r in T.unroll(loads):
                            for v in T.vectorized(vector):
                                acc[r, v] = acc[r, v] + got[r, v]
                for r in T.unroll(loads - 1):
                    for v in T.vectorized(vector):
                        acc[0, v] = acc[0, v] + acc[r + 1, v]
                for v in T.vectorized(vector):
                    y[b, t, v] = acc[0, v]

    return read


def fill_kernel(elements: int, value: float, dtype: str) -> Any:
    """Return a kernel that fills an array: x, (elements,) of `dtype`."""
    threads = THREADS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def fill(x: T.Buffer((elements,), dtype)):  # type: ignore[no-untyped-def, valid-type]
        T.func_attr({"tirx.noalias": True})
        for b in T.thread_binding(-(-elements // threads), thread="blockIdx.x"):
            for t in T.thread_binding(threads, thread="threadIdx.x"):
                if b * threads + t < elements:
                    x[b * threads + t] = T.Cast(dtype, T.float32(value))

    return fill


def _probe(kernel: Any, target: Any, *, value: float, work: float) -> Probe:
    """Compile a kernel, fill its data on the GPU, and run it once."""
    data, result = kernel.params
    elements = math.prod(map(int, data.shape))
    named = {"main": kernel, "fill": fill_kernel(elements, value, str(data.dtype))}
    functions = {name: function.with_attr("global_symbol", name) for name, function in named.items()}
    with target:  # its CUDA C is compiled for this architecture
        module = tvm.compile(tvm.IRModule(functions), target=target).mod
    device = tvm.cuda(0)
    flat = tvm.runtime.empty((elements,), str(data.dtype), device)
    module["fill"](flat)
    arguments = [
        flat._create_view(tuple(map(int, data.shape))),
        tvm.runtime.empty(tuple(map(int, result.shape)), str(result.dtype), device),
    ]
    return Probe(module, device, arguments, work=work)


def working_sets(l2_bytes: int, free_bytes: int) -> dict[str, int]:
    """Return the bytes to go through at each level: half of L2; for DRAM far more than L2, if that much is free."""
    return {
        "L2": l2_bytes // 2,
        "DRAM": min(max(_DRAM_TIMES_L2 * l2_bytes, _DRAM_MIN_BYTES), free_bytes // _MEMORY_SHARE),
    }


def tiles(size_bytes: int, blocks: int) -> int:
    """Return the tiles of each block that make up a working set."""
    return max(1, size_bytes // (blocks * _LOADS * THREADS * _VECTOR * _FLOAT.bytes))


def fma_flops(blocks: int, steps: int = _STEPS) -> int:
    """Return the floating-point operations of `fma_kernel`."""
    return blocks * THREADS * _CHAINS * steps * 2


def mma_flops(blocks: int, steps: int = _STEPS) -> int:
    """Return the floating-point operations of `mma_kernel`."""
    return blocks * (THREADS // 32) * _CHAINS * steps * 2 * math.prod(_MMA_SHAPE)


def byte_mma_operations(blocks: int, steps: int = _STEPS) -> int:
    """Return the operations of `byte_mma_kernel`, a multiply-add as two."""
    return blocks * (THREADS // 32) * _CHAINS * steps * 2 * math.prod(_BYTE_MMA_SHAPE)


def calibrate(target: Target, *, progress: Fraction = lambda _: None) -> Calibration:
    """Measure the peaks of CUDA's device 0 with code for `target`."""
    device, watch = tvm.cuda(0), activity.Watch()
    tvm_target = tvm.target.Target(dict(target.tvm), host={"kind": "llvm"})
    blocks = int(device.multi_processor_count) * BLOCKS_PER_SM
    peaks = {
        _FLOAT.name: _probe(fma_kernel(blocks), tvm_target, value=0.5, work=fma_flops(blocks)),
        _HALF.name: _probe(mma_kernel(blocks), tvm_target, value=0.5, work=mma_flops(blocks)),
        _BYTE.name: _probe(byte_mma_kernel(blocks), tvm_target, value=1.0, work=byte_mma_operations(blocks)),
    }
    progress(0.25)
    sizes = working_sets(int(device.l2_cache_size_bytes), int(device.available_global_memory))
    reads, moved = {}, {}
    for level, size in sizes.items():
        parts = tiles(size, blocks)
        moved[level] = blocks * parts * _LOADS * THREADS * _VECTOR * _FLOAT.bytes
        passes = max(1, _L2_BYTES_A_CALL // moved[level]) if level == "L2" else 1
        kernel = read_kernel(blocks, parts, passes)
        reads[level] = _probe(kernel, tvm_target, value=1.0, work=passes * moved[level])
    progress(0.5)
    sample_in_turn((*peaks.values(), *reads.values()), lambda share: progress((1 + share) / 2))
    wall_s, others_s = watch.read_s()
    return Calibration(
        method=METHOD,
        measured_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        threads=target.threads,
        flops_per_s={dtype: probe.rate() for dtype, probe in peaks.items()},
        bytes_per_s={level: probe.rate() for level, probe in reads.items()},
        working_set_bytes=moved,
        others_busy=others_s / wall_s,
    )
