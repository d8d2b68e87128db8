"""Measure the peaks of a CPU: FLOP/s, and the bandwidth of each memory level for reading and for reading and writing.

The kernels are built by TVM for the same target as the networks, so that the peaks are those of the code that is
judged by them: same instruction set, same threads. Runs inside a worker process; the kernels run there too, or on a
device at the other end of a line.
"""

from __future__ import annotations

import datetime
import math
from typing import Any, Protocol

import psutil
import tvm
from tvm.script import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.core import dtypes
from mbench.core.dtypes import Dtype
from mbench.core.machine_types import Calibration, Mix, Target
from mbench.core.progress import Fraction
from mbench.hardware import half_sums
from mbench.measure import activity, pace
from mbench.measure.pace import CHAINS, EXCHANGES, STEPS, Shapes
from mbench.measure.probe import Probe, sample_in_turn

METHOD = (
    "highest of 20 samples, taken in 5 turns: FLOP/s of 12 independent chains of multiply-adds in vector registers on "
    "each thread; bytes/s of each thread summing its own float32 array of half a cache's size (DRAM: twice the last "
    "level), and of each thread writing halves of such sums of 4 elements, or of one, to a second array, both arrays "
    "together of that size: a fifth or half of the bytes are written; seconds of a parallel loop: 100 of them in turn, "
    "in which each thread adds one to a number of its own"
)
_FLOAT = dtypes.of(dtypes.DEFAULT)
_LOOPS = 100
"""Empty parallel loops that are timed in turn."""
_READERS = 8
_WRITERS = 4
_READS = (4, 1)  # for each element written: as a layer of stride 2 has them, and one of stride 1
_MIN_BYTES_A_CALL = 16 * 2**20  # of each thread, so that starting the threads does not count
_DRAM_MIN_BYTES = 64 * 2**20
_MEMORY_SHARE = 8


def peak_kernel(threads: int, lanes: int, dtype: str = _FLOAT.name) -> Any:
    """Return chains of multiply-adds in the registers of each thread."""
    chains, steps = CHAINS, STEPS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def peak(  # type: ignore[no-untyped-def]
        x: T.Buffer((threads, chains + 2, lanes), dtype),  # type: ignore[valid-type]
        y: T.Buffer((threads, chains, lanes), dtype),  # type: ignore[valid-type]
    ):
        T.func_attr({"tirx.noalias": True})
        for t in T.parallel(threads):
            acc = T.alloc_buffer((chains, lanes), dtype, scope="local")
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


def _mixed_kernel(threads: int, lanes: int, lines: int, reads: int, passes: int) -> Any:
    writers = _WRITERS

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def mixed(  # type: ignore[no-untyped-def]
        x: T.Buffer((threads, lines, writers, reads, lanes), "float32"),  # type: ignore[valid-type]
        y: T.Buffer((threads, lines, writers, lanes), "float32"),  # type: ignore[valid-type]
    ):
        T.func_attr({"tirx.noalias": True})
        for t in T.parallel(threads):
            acc = T.alloc_buffer((writers, lanes), "float32", scope="local")
            for _ in range(passes):
                for line in range(lines):
                    for c in T.unroll(writers):
                        for i in T.vectorized(lanes):
                            acc[c, i] = x[t, line, c, 0, i]
                        for r in T.unroll(reads - 1):
                            for i in T.vectorized(lanes):
                                acc[c, i] = acc[c, i] + x[t, line, c, r + 1, i]
                        for i in T.vectorized(lanes):
                            y[t, line, c, i] = acc[c, i] * T.float32(0.5)  # a plain copy would become memcpy

    return mixed


def _loops_kernel(threads: int) -> Any:
    """Return parallel loops in turn, `_LOOPS` of them, that do next to nothing."""

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def loops(x: T.Buffer((threads, 16), "float32"), y: T.Buffer((threads, 16), "float32")):  # type: ignore[no-untyped-def, valid-type]
        T.func_attr({"tirx.noalias": True})
        for _ in range(_LOOPS):
            for t in T.parallel(threads):
                y[t, 0] = y[t, 0] + x[t, 0]

    return loops


def exchange_kernel(threads: int, numbers: int) -> Any:
    """Return parallel loops in turn, `pace.EXCHANGES` of them; each thread reads what another wrote before."""

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def exchange(x: T.Buffer((threads, numbers), "float32"), y: T.Buffer((threads, numbers), "float32")):  # type: ignore[no-untyped-def, valid-type]
        T.func_attr({"tirx.noalias": True})
        for _ in range(EXCHANGES // 2):
            for t in T.parallel(threads):
                for i in T.vectorized(numbers):
                    y[t, i] = x[(t + 1) % threads, i] * T.float32(0.5) + T.float32(0.5)
            for t in T.parallel(threads):
                for i in T.vectorized(numbers):
                    x[t, i] = y[(t + 1) % threads, i] * T.float32(0.5) + T.float32(0.5)

    return exchange


def fill_kernel(shape: tuple[int, ...], value: float, dtype: str = _FLOAT.name) -> Any:
    """Return what fills an array with a value."""

    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def fill(x: T.Buffer(shape, dtype)):  # type: ignore[no-untyped-def, valid-type]
        T.func_attr({"tirx.noalias": True})
        flat = T.decl_buffer((math.prod(shape),), dtype, data=x.data)
        for i in range(math.prod(shape)):
            flat[i] = T.Cast(dtype, T.float32(value))

    return fill


class PeakPlace(Protocol):
    """Where the kernels run."""

    device: Any
    """TVM's name of it."""
    memory_bytes: int
    """What can be had there without swapping."""

    def load(self, kernels: tvm.IRModule, target: Any) -> Any:
        """Compile kernels and return the module that runs them there."""
        ...

    def others_busy(self) -> float | None:
        """Return the processors that other processes kept busy there since it was made; None if it is unknown."""
        ...


class Here:
    """This process."""

    def __init__(self) -> None:
        self.device = tvm.cpu()
        self.memory_bytes = psutil.virtual_memory().available
        self._watch = activity.Watch()

    def load(self, kernels: tvm.IRModule, target: Any) -> Any:
        """Compile kernels and return the module that runs them."""
        return tvm.compile(kernels, target=target).mod

    def others_busy(self) -> float:
        """Return the processors that other processes kept busy."""
        wall, others = self._watch.read_s()
        return others / wall


def calibrate(
    target: Target,
    threads: int,
    *,
    progress: Fraction = lambda _: None,
    place: PeakPlace | None = None,
) -> Calibration:
    """Measure the peaks of a machine, by default this one, at `threads` threads with code for `target`."""
    place = place or Here()
    tvm_target = tvm.target.Target(target.tvm_options)
    lanes = _FLOAT.lanes(target.processor.vector_bits)
    types = [_FLOAT, *([dtypes.of(half_sums.TYPE)] if half_sums.of_target(target) else [])]
    peaks = {each.name: _peak_probe(threads, target, each, tvm_target, place) for each in types}
    reads = {}
    mixed = {}
    sizes = _working_sets(target, threads, place.memory_bytes)
    for level, size in sizes.items():
        reads[level] = _read_probe(threads, lanes, size, tvm_target, place)
        for count in _READS:
            mixed[level, count] = _mixed_probe(threads, lanes, size, count, tvm_target, place)
        progress(len(reads) / (2 * len(sizes)))
    loops = _loops_probe(threads, tvm_target, place) if threads > 1 else None
    probes = (*peaks.values(), *([loops] if loops else []), *reads.values(), *mixed.values())
    sample_in_turn(probes, lambda share: progress((1 + share) / 2))
    return Calibration(
        method=METHOD,
        measured_at_utc=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        threads=threads,
        flops_per_s={name: probe.rate() for name, probe in peaks.items()},
        bytes_per_s={level: probe.rate() for level, probe in reads.items()},
        mixes=tuple(
            Mix(level=level, written=1 / (1 + count), bytes_per_s=probe.rate())
            for (level, count), probe in mixed.items()
        ),
        parallel_loop_s=1 / loops.rate() if loops else None,
        working_set_bytes={level: probe.data_bytes for level, probe in reads.items()},
        others_busy=place.others_busy(),
    )


class _Filled(Probe):
    """A probe whose data are filled where they lie: a line may be slow, and untouched pages are one page."""

    def __init__(
        self,
        kernel: Any,
        target: Any,
        place: PeakPlace,
        shapes: Shapes,
        *,
        value: float,
        work: float,
        dtype: Dtype = _FLOAT,
    ) -> None:
        named = {"main": kernel, "fill": fill_kernel(shapes[0], value, dtype.name)}
        functions = {name: function.with_attr("global_symbol", name) for name, function in named.items()}
        module = place.load(tvm.IRModule(functions), target)
        arguments = [tvm.runtime.empty(shape, dtype.numpy, place.device) for shape in shapes]
        module["fill"](arguments[0])
        super().__init__(module, place.device, arguments, work=work)
        self.data_bytes = dtype.bytes * math.prod(shapes[0])


def _peak_probe(threads: int, described: Target, dtype: Dtype, target: Any, place: PeakPlace) -> _Filled:
    lanes = dtype.lanes(described.processor.vector_bits)
    shapes, flops = pace.shapes("peak", threads, lanes), pace.flops(threads, lanes)
    kernel = peak_kernel(threads, lanes, dtype.name)
    return _Filled(kernel, target, place, shapes, value=pace.FILLED["peak"], work=flops, dtype=dtype)


def _loops_probe(threads: int, target: Any, place: PeakPlace) -> _Filled:
    shape = (threads, 16)
    return _Filled(_loops_kernel(threads), target, place, (shape, shape), value=1.0, work=_LOOPS)


def _read_probe(threads: int, lanes: int, size_bytes: int, target: Any, place: PeakPlace) -> _Filled:
    lines = max(1, size_bytes // (threads * _READERS * lanes * _FLOAT.bytes))
    shapes = (threads, lines, _READERS, lanes), (threads, _READERS, lanes)
    data_bytes = _FLOAT.bytes * math.prod(shapes[0])
    passes = max(1, threads * _MIN_BYTES_A_CALL // data_bytes)
    kernel = _read_kernel(threads, lanes, lines, passes)
    return _Filled(kernel, target, place, shapes, value=1.0, work=passes * data_bytes)


def _mixed_probe(threads: int, lanes: int, size_bytes: int, reads: int, target: Any, place: PeakPlace) -> _Filled:
    lines = max(1, size_bytes // ((reads + 1) * threads * _WRITERS * lanes * _FLOAT.bytes))
    shapes = (threads, lines, _WRITERS, reads, lanes), (threads, lines, _WRITERS, lanes)
    moved_bytes = _FLOAT.bytes * sum(math.prod(shape) for shape in shapes)
    passes = max(1, threads * _MIN_BYTES_A_CALL // moved_bytes)
    kernel = _mixed_kernel(threads, lanes, lines, reads, passes)
    return _Filled(kernel, target, place, shapes, value=1.0, work=passes * moved_bytes)


def _working_sets(target: Target, threads: int, available_bytes: int) -> dict[str, int]:
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
    limit = available_bytes // _MEMORY_SHARE
    if sizes.get("L3", 0) > limit:
        del sizes["L3"]
    sizes["DRAM"] = min(max(2 * last, _DRAM_MIN_BYTES), limit)
    return sizes
