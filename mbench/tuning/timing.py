"""Time candidates of one kernel in turns with what the rules choose. Runs in the worker process of a device.

Each round times a block of calls of both, in the order A B B A …; a candidate counts by the median over the rounds of
its time over the default's, so that what slows the machine down for a while meets both.

A kernel alone in a loop finds all of its data in the first cache; in a network it does not: its input was written just
before, its weights were last read one inference ago. So calls go round several copies of the weights, together twice
the size of the second-level caches, and two of the input and the output.

On a GPU a block is timed by events of the device, which is held back until all of the block is queued; its first
caches do not outlive a kernel, and its second one holds these networks whole, so that two copies are enough.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import tvm
import tvm_ffi

from mbench.compile.kernel import Kernel
from mbench.core import dtypes, regular_files, stats
from mbench.core.errors import MeasureError
from mbench.core.progress import Report
from mbench.hardware import half_sums
from mbench.hardware.cudart import Stream
from mbench.measure import activity, events, program
from mbench.tuning import candidates
from mbench.tuning.plans import Begun, Built, Read, Readings, Timing, TimingPlan

_BLOCK_S = 1e-3
_ROUNDS = 11
_FINAL_ROUNDS = 51
_LOOK_AFTER = 3
_SPREAD = 0.01
_UNWRITTEN = 85
_HOPELESS = 1.15
"""A candidate that is so much slower in its first rounds is not timed further."""
_MAX_COPIES = 64
_WARM_UP_S = 0.02


class TimingPlace(Protocol):
    """Where kernels run."""

    device: Any
    """As TVM names it."""

    def seconds(self, launch: Callable[[], object]) -> float:
        """Return how long what `launch` starts takes."""
        ...


class OnProcessors:
    """This machine's processors, by its clock."""

    def __init__(self) -> None:
        self.device = tvm.cpu()

    def seconds(self, launch: Callable[[], object]) -> float:
        """Return how long `launch` takes."""
        start = time.perf_counter_ns()
        launch()
        return (time.perf_counter_ns() - start) * 1e-9


class OnGpu:
    """CUDA's device 0, by its own events."""

    def __init__(self, stream: Stream) -> None:
        self.device = tvm.cuda(0)
        self.seconds = events.Queue(stream).seconds


def time_all(plan: TimingPlan, report: Report, place: TimingPlace | None = None) -> Readings:
    """Check and time all candidates of a plan; then those that were quickest again, for longer.

    Args:
        plan: what to time.
        report: called before each reading.
        place: where; by default this machine's processors.

    Raises:
        MeasureError: the default itself computes something else than the kernel as TVM made it.
    """
    program.use_threads(plan.threads)
    bench = _Setup(plan, place or OnProcessors())
    watch = activity.Watch()
    seen: list[Read] = []
    wanted = len(plan.candidates) + plan.finalists
    for number in range(len(plan.candidates)):
        report(f"timing {len(seen) + 1}/{wanted}", len(seen) / wanted)
        seen.append(_logged(plan, number, functools.partial(bench.time, number, rounds=_ROUNDS)))
    quickest = sorted((read.timing.ratio, read.number) for read in seen if read.timing and read.timing.ratio < 1)
    for _, number in quickest[: plan.finalists]:
        report(f"timing {len(seen) + 1}/{wanted}", len(seen) / wanted)
        seen.append(_logged(plan, number, functools.partial(bench.time, number, rounds=_FINAL_ROUNDS)))
    wall_s, others_busy_s = watch.read_s()
    return Readings(reads=tuple(seen), wall_s=wall_s, others_busy_s=others_busy_s)


def _logged(plan: TimingPlan, number: int, take: Callable[[], Read]) -> Read:
    """Take a reading. The log holds its begin before, and its value after."""
    with Path(plan.log).open("ab") as log:
        log.write(msgspec.json.encode(Begun(number=number)) + b"\n")
        log.flush()
        read = take()
        log.write(msgspec.json.encode(read) + b"\n")
    return read


class _Setup:
    """The default, ready to be called, and what candidates need to be called beside it."""

    def __init__(self, plan: TimingPlan, place: TimingPlace) -> None:
        self._plan, self._place = plan, place
        self._function = tvm.ir.load_json(plan.function)
        self._data = drawn(Kernel(self._function))
        parts = half_sums.TYPE if half_sums.of_target(plan.target) else None
        self._tolerance = dtypes.kernel_tolerance(str(self._data[-1].dtype), sums=parts)
        self._expected = self._load(Built(candidate=candidates.AS_IS, library=plan.reference)).output()
        self._default = self._load(plan.default)
        error = self._error(self._default)
        if not error <= self._tolerance:
            raise MeasureError(f"what the rules choose, {plan.default.candidate}, is wrong: relative error {error:.1e}")
        self._calls = max(1, math.ceil(_BLOCK_S / self._default.warm_up()))

    def time(self, number: int, *, rounds: int) -> Read:
        """Check a candidate, and time it."""
        runner = self._load(self._plan.candidates[number])
        error = self._error(runner)
        if not error <= self._tolerance:
            return Read(number=number, refused=f"relative error {error:.1e}, over {self._tolerance:.0e}")
        runner.warm_up()
        return Read(number=number, timing=self._timed(runner, error, rounds=rounds))

    def _timed(self, runner: Runner, error: float, *, rounds: int) -> Timing:
        pairs: list[tuple[float, float]] = []
        for turn in range(rounds):
            if turn % 2:
                own = runner.block(self._calls)
                pairs.append((own, self._default.block(self._calls)))
            else:
                default = self._default.block(self._calls)
                pairs.append((runner.block(self._calls), default))
            if turn + 1 == _LOOK_AFTER and min(own / default for own, default in pairs) > _HOPELESS:
                break
        ratios = [own / default for own, default in pairs]
        return Timing(
            seconds=statistics.median(own for own, _ in pairs),
            default_seconds=statistics.median(default for _, default in pairs),
            ratio=statistics.median(ratios),
            high_ratio=stats.quantile(ratios, 0.75),
            error=error,
            final=rounds == _FINAL_ROUNDS,
        )

    def _load(self, built: Built) -> Runner:
        pack = candidates.plan(self._function, self._plan.target, built.candidate).pack
        data = list(self._data)
        if pack is not None:
            data[1] = pack(data[1])
        return Runner(Path(built.library), data, self._plan.cache_bytes, self._place)

    def _error(self, runner: Runner) -> float:
        """Return the largest difference as a share of the largest element; infinite where an element is no number."""
        found = runner.output().astype(np.float32)
        error = float(np.max(np.abs(found - self._expected)) / np.max(np.abs(self._expected)))
        return error if math.isfinite(error) else math.inf


def drawn(kernel: Kernel) -> list[np.ndarray]:
    """Return arguments of a kernel: the same random numbers for every candidate."""
    generator = np.random.default_rng(0)
    given = tuple(zip(kernel.parameter_shapes, kernel.parameter_dtypes, strict=True))
    spread = 1.0
    if given[0][1] in dtypes.EIGHT_BITS:  # multipliers, that bring sums to 8 bits
        spread = _SPREAD / math.sqrt(max(1.0, math.prod(given[1][0]) / given[-1][0][-1]))
    return [_numbers(generator, shape, dtype, spread) for shape, dtype in given]


def _numbers(generator: np.random.Generator, shape: tuple[int, ...], dtype: str, spread: float) -> np.ndarray:
    """Return numbers of a type: all that 8 bits hold, or a normal distribution of this spread."""
    if dtype in dtypes.EIGHT_BITS:
        known = np.iinfo(dtype)
        return generator.integers(known.min, known.max, shape, dtype=dtype, endpoint=True)
    return (spread * generator.standard_normal(shape, dtype=np.float32)).astype(dtype)


def _unwritten(result: np.ndarray) -> np.ndarray:
    """Return what an output holds before anything is written: no number, or what a kernel hardly gives everywhere."""
    return np.full_like(
        result, np.nan if result.dtype.kind == "f" or result.dtype.name == dtypes.BFLOAT16 else _UNWRITTEN
    )


class Runner:
    """A library's kernel with copies of its arguments: input, weights and what the epilogue reads, output."""

    def __init__(self, library: Path, data: list[np.ndarray], cache_bytes: int, place: TimingPlace) -> None:
        self._place = place
        self._call = tvm_ffi.load_module(regular_files.utf8_name(Path(library))).get_function(candidates.ENTRY, True)
        source, *constants, result = data
        ends = [(self._tensor(source), self._tensor(_unwritten(result))) for _ in range(2)]
        constant_bytes = max(1, sum(array.nbytes for array in constants))
        copies = min(_MAX_COPIES, max(2, math.ceil(2 * cache_bytes / constant_bytes)))
        rings = [(ends[copy % 2], [self._tensor(array) for array in constants]) for copy in range(copies)]
        self._arguments = [(first, *middle, last) for (first, last), middle in rings]
        self._ring = itertools.cycle(self._arguments)

    def output(self) -> np.ndarray:
        """Run once; return the output. What was not written is no number."""
        arguments = self._arguments[0]
        self._call(*arguments)
        return np.asarray(arguments[-1].numpy())

    def warm_up(self) -> float:
        """Run for a while; return the seconds of a call."""
        start = time.perf_counter()
        seen: list[float] = []
        while time.perf_counter() - start < _WARM_UP_S or len(seen) < len(self._arguments[:4]):
            seen.append(self.block(1))
        return statistics.median(seen)

    def block(self, calls: int) -> float:
        """Return the mean seconds of some calls."""
        call, given = self._call, list(itertools.islice(self._ring, calls))

        def launch() -> None:
            for arguments in given:
                call(*arguments)

        return self._place.seconds(launch) / calls

    def _tensor(self, values: np.ndarray) -> Any:
        return tvm.runtime.tensor(np.asarray(values, order="C"), self._place.device)
