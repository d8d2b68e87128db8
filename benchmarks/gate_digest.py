"""A digest of what the gate decides: by what its code does with fixed, made-up measurements, not by its text.

It covers how many processes the paired gate asks for, how they take turns, what it makes of their times, where copies
and code lie in memory, and how counts are judged, with every parameter at its default. So comments, formatting, names,
and where a function stands do not touch it; a parameter or a step that decides otherwise does. It does not cover what
surrounds these: reading records, wording, output, how one run is timed (`measure/program.py`).

Run: python benchmarks/gate_digest.py
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import json
import math
import platform
import random
import statistics
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import numpy as np

from mbench.compile import objects
from mbench.core import artifact
from mbench.core.errors import MeasureError
from mbench.gating import exact, limits, matching, paired
from mbench.measure import duel, layout

_BLOCKS = 3
"""Of each copy in a made-up process."""
_WHOLE_S = (4e-4, 2e-2)
"""Of a short network and of a long one."""
_SHARES = (0.4, 0.25, 0.15, 0.12, 0.031, 0.029, 0.02, 2.6e-4, 2.5e-5)
"""Of the network's time, by layer; in the short network the last two take 104 and 10 ns, hardly enough to be timed."""
_SLOWED = (3, 4, 6, 7)
"""Layers that are made slower along with the network."""
_CASES = (
    *((0.0, 0.002), (0.05, 0.002), (0.0, 0.01), (0.02, 0.002), (0.024, 0.01), (0.05, 0.01), (0.1, 0.025), (0.0, 0.1)),
    *((-0.08, 0.01), (-0.02, 0.002), (0.3, 0.1), (0.04, 0.025), (0.0, 0.3)),
)
"""By how much the head is slower, as a fraction, and the standard deviation of a layer's log ratios between processes;
of the whole network's, it is a quarter of that. The first two fail."""


def timed() -> str:
    """Return the digest for trials that are timed."""
    return _digest([judging(), measuring(), placing()])


def counted() -> str:
    """Return the digest for trials that are counted."""
    return _digest(counting())


def main() -> int:
    """Print both; return the exit code."""
    print(f"timed    {timed()}\ncounted  {counted()}")
    return 0


def _digest(done: Any) -> str:
    return hashlib.sha256(json.dumps(_rounded(done)).encode()).hexdigest()[:16]


def _rounded(done: Any) -> Any:
    """Return plain data; floats with nine digits, since libraries and machines differ in the last ones."""
    if isinstance(done, float):
        return f"{done:.9g}"
    if isinstance(done, dict):
        return {str(key): _rounded(value) for key, value in done.items()}
    return [_rounded(each) for each in done] if isinstance(done, list | tuple) else done


# ------------------------------------------------------------------------------------------------------------- judging
class _Arena:
    """Processes that were never started: their times are drawn from a fixed seed, process by process."""

    def __init__(self) -> None:
        self.taken: dict[int, int] = {}
        self.plans: list[duel.DuelPlan] = []

    def duel(
        self, base: Any, twin: Any, head: Any, plan: duel.DuelPlan, report: Callable[[str, float], None]
    ) -> duel.Bout:
        """Return made-up times; the first two contests fail, at once and in the middle."""
        number = self.taken[base] = self.taken.get(base, 0) + 1
        self.plans.append(plan)
        report("measuring", 0.5)
        if base < 2 and number > 4 * base:
            raise MeasureError("meant to fail")
        change, spread = _CASES[base]
        draw = random.Random(1000 * base + number)
        whole_s = _WHOLE_S[base % len(_WHOLE_S)]
        slower = [change if index in _SLOWED else 0.0 for index in range(len(_SHARES))]
        return duel.Bout(
            order=plan.order, block=7, wall_s=2.0, others_busy_s=0.0,
            whole_s=_times(whole_s, change / 2, spread / 4, draw),
            layers_s=tuple(zip(*(
                _times(share * whole_s, slow, spread, draw) for share, slow in zip(_SHARES, slower, strict=True)
            ), strict=True)),
        )  # fmt: skip


def _times(base_s: float, slower: float, spread: float, draw: random.Random) -> tuple[tuple[float, ...], ...]:
    """Return the times of a baseline, its A/A copy and a head, block by block."""
    copy, head = (math.exp(spread * _normal(draw)) for _ in range(2))
    means = (base_s, base_s * copy**0.3, base_s * (1 + slower) * head)
    return tuple(tuple(mean * math.exp(spread / 2 * _normal(draw)) for _ in range(_BLOCKS)) for mean in means)


def _normal(draw: random.Random) -> float:
    return statistics.NormalDist().inv_cdf(min(max(draw.random(), 1e-9), 1 - 1e-9))


def judging() -> Any:
    """Return what the paired gate asks for and finds: all contests together, then one by itself."""
    contests = [_contest(index) for index in range(len(_CASES))]
    return [_judged(contests), _judged(contests[5:6])]


def _contest(index: int) -> paired.Contest:
    layers = [_layer(place, f"layer{place}") for place in range(len(_SHARES))]
    matches = [
        matching.Match((layers[0],), (layers[0],)),
        matching.Match((layers[1], layers[2]), (layers[2], layers[1])),
        *(matching.Match((layer,), (layer,)) for layer in layers[3:]),
        matching.Match((layers[0],), ()),
        matching.Match((layers[0],), (layers[1],), comparable=False),
    ]
    copies: Any = index
    return paired.Contest(f"network{index}", copies, copies, copies, tuple(matches), 1, 1e-3)


def _layer(index: int, name: str, channels: int = 8, counters: Any = None) -> Any:
    """Return what the gate reads of a layer."""
    return SimpleNamespace(
        index=index, name=name, op=("conv2d", "dense")[index % 2], role="other", block=None, macs=1000 + index,
        weight_bytes=100,
        input_shape=(1, channels), output_shape=(1, channels), counters=counters,
    )  # fmt: skip


def _judged(contests: Sequence[paired.Contest]) -> Any:
    arena = _Arena()
    fought = paired.judge(contests, arena, limits.Limits(), lambda *_: None)
    plans = {(plan.threads, plan.warmup_s, plan.rounds, plan.max_s, plan.tolerance) for plan in arena.plans}
    found = [
        (
            finding.variant, finding.layer, finding.op, finding.outcome, finding.ratio, finding.interval,
            finding.confidence, finding.threshold, finding.sensitivity, finding.p_value, finding.base, finding.head,
            sum(finding.noise_log_ratios),
        )
        for finding in fought.findings
    ]  # fmt: skip
    drawn = len({plan.seed for plan in arena.plans}) > len(arena.plans) // 2
    orders = sorted({plan.order for plan in arena.plans}) if len(arena.plans) > 200 else []
    return found, sorted(arena.taken.items()), sorted(plans), len(fought.failures), drawn, orders


# ----------------------------------------------------------------------------------------------------------- measuring
def measuring() -> Any:
    """Return how copies take turns in a process, and what a block counts."""
    seconds = [10 ** (power / 8) for power in range(-60, -8)]
    return [
        duel.COPIES, [duel.block_runs(value) for value in (0.0, *seconds)], _turns(rounds=30, max_s=1e9),
        _turns(rounds=30, max_s=4.0), _turns(rounds=3, max_s=0.0), _whole(), _layers(),
    ]  # fmt: skip


class _Draw:
    """Orders that are not drawn, but each begins one further on."""

    def __init__(self) -> None:
        self.count = 0

    def permutation(self, size: int) -> Any:
        self.count += 1
        return np.roll(np.arange(size), self.count)


def _turns(*, rounds: int, max_s: float) -> Any:
    """Return who has a turn, when a second passes between two readings of the clock."""
    calls: list[int] = []
    clock = itertools.count(100.0)

    def turn(index: int) -> list[float]:
        calls.append(index)
        return [float(len(calls))]

    copies = [functools.partial(turn, index) for index in range(3)]
    draw = cast(np.random.Generator, _Draw())
    return duel.alternate(copies, draw, rounds=rounds, max_s=max_s, clock=lambda: next(clock)), calls


class _Program:
    """A loaded network that was never loaded: what it is asked for is kept, its times are made up."""

    def __init__(self, index: int, asked: list[Any]) -> None:
        self.index, self.asked, self.runs = index, asked, 0
        calls = [("first", 0), ("second", 1), ("third", 1)]
        self.artifact = SimpleNamespace(manifest=SimpleNamespace(calls=calls, layers=[None, None]))

    def timer(self, *, number: int, repeat: int, entry: str | None = None) -> Callable[[], list[float]]:
        self.asked.append((self.index, number, repeat, entry))
        return lambda: [self._time_s() for _ in range(repeat)]

    def instrument(self) -> Any:
        self.asked.append((self.index, "instrument"))
        return SimpleNamespace(run=self._events, remove=lambda: self.asked.append((self.index, "removed")))

    def _events(self, entry: str) -> list[tuple[str, float]]:
        self.asked.append((self.index, entry == artifact.ENTRY))
        names = ["first", "vm.builtin.alloc", "second", "third"] if entry == artifact.ENTRY else ["a", "b"]
        return [(name, self._time_s()) for name in names]

    def _time_s(self) -> float:
        self.runs += 1
        return 1e-3 * (1 + (self.runs * 7919 + self.index) % 101 / 100)


def _plan() -> duel.DuelPlan:
    return duel.DuelPlan(threads=1, order=(0, 1, 2), seed=1, warmup_s=1e9, rounds=8, max_s=1e9, tolerance=1e-3)


def _whole() -> Any:
    asked: list[Any] = []
    programs: Any = [_Program(index, asked) for index in range(3)]
    draw = cast(np.random.Generator, _Draw())
    return duel.whole(programs, draw, _plan(), lambda _: None), asked, [program.runs for program in programs]


def _layers() -> Any:
    asked: list[Any] = []
    programs: Any = [_Program(index, asked) for index in range(3)]
    return duel.layers(programs, cast(np.random.Generator, _Draw()), _plan(), lambda _: None), asked


# ------------------------------------------------------------------------------------------------------------- placing
def placing() -> Any:
    """Return how code is aligned in an object file, and where each copy begins on the heap."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.o"
        file.write_bytes(_object_file())
        objects.align_code(file)
        aligned = hashlib.sha256(file.read_bytes()).hexdigest()
    libc = _Libc()
    fake = mock.patch.object(ctypes, "CDLL", return_value=libc)
    with fake, mock.patch.object(platform, "libc_ver", return_value=("glibc", "2.36")):
        heap = layout.Heap(100 << 20)
        small = sum(size + 16 for size in range(16, 1041, 16))  # what is used up of a large page before the next begins
        for size in (5 << 20, 9 << 20, 1 << 20, *((2 << 20) - small - edge for edge in range(0, 97, 16))):
            heap.begin()
            libc.take(size)
    return aligned, libc.calls


def _object_file() -> bytes:
    """Return an ELF file of four sections: code with a small and a large alignment, and data."""
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", header, 0x28, 64)
    struct.pack_into("<HH", header, 0x3A, 64, 4)
    sections = bytearray(4 * 64)
    for index, (flags, alignment) in enumerate([(0x6, 16), (0x6, 128), (0x3, 8), (0x6, 1)]):
        struct.pack_into("<Q", sections, 64 * index + 0x08, flags)
        struct.pack_into("<Q", sections, 64 * index + 0x30, alignment)
    return bytes(header + sections)


class _Function:
    """A function of a C library, whose types can be set."""

    def __init__(self, name: str, libc: _Libc) -> None:
        self._name, self._libc = name, libc

    def __call__(self, *arguments: Any) -> Any:
        self._libc.calls.append((self._name, *arguments))
        return getattr(self._libc, f"_{self._name}")(*arguments)


class _Libc:
    """A heap that grows by 64 MiB, with pieces below its top that were given back."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        begin = 1 << 30
        self._top, self._end = begin + (1 << 18) + 48, begin + (8 << 20)
        self._free_pieces = [(begin + 4096, 8192), (begin + 30000, 32768), (begin + 80000, 2048), (begin + 90000, 256)]
        for name in ("mallopt", "malloc", "free", "sbrk", "mallinfo2", "madvise"):
            setattr(self, name, _Function(name, self))

    def take(self, size: int) -> None:
        self._malloc(size)

    def _malloc(self, size: int) -> int:
        for piece in self._free_pieces:
            if size <= piece[1]:
                self._free_pieces.remove(piece)
                return piece[0]
        while self._top + size + 16 > self._end:
            self._end += 64 << 20
        address, self._top = self._top + 16, self._top + size + 16
        return address

    def _free(self, address: int) -> None:
        self._top = address - 16 if address < self._top else self._top

    def _sbrk(self, _: int) -> int:
        return self._end

    def _mallinfo2(self) -> Any:
        return SimpleNamespace(keepcost=self._end - self._top)

    def _mallopt(self, *_: int) -> int:
        return 1

    def _madvise(self, *_: int) -> int:
        return 0


# ------------------------------------------------------------------------------------------------------------ counting
def counting() -> Any:
    """Return which layers of two networks are compared, and what is found of their counts."""
    grown = [(base, base + more) for base in (0, 1, 1000, 10**6) for more in range(-12, 13)]
    grown += [(10**6, 10**6 + more) for more in (-5001, -5000, -2001, -2000, 2000, 2001, 4999, 5000, 5001, 9999)]
    found = []
    for base, head in grown:
        whole = exact.of_network(_result(base), _result(head), limits.Limits(), counts=True)
        matches = matching.layers(list(_counted_layers(base)), list(_counted_layers(head, moved=True)))
        layers = exact.of_layers("network", matches, limits.Limits(), counts=True)
        counts = [each for each in (*whole, *layers) if each.way == "counts"]
        found += [(each.layer, each.op, each.metric, each.outcome, each.threshold, each.ratio) for each in counts]
    return found


def _counters(count: int) -> Any:
    return mock.Mock(instructions=count, loads=count // 2, stores=count // 3)


def _result(count: int) -> Any:
    """Return what the gate reads of a network's result."""
    memory = SimpleNamespace(weight_bytes=1, activation_peak_bytes=1, workspace_bytes=1)
    return SimpleNamespace(
        variant=SimpleNamespace(name="network"), memory=memory, artifact=SimpleNamespace(library_bytes=1),
        layers=[], counts=SimpleNamespace(target="made up", counters=_counters(count)),
    )  # fmt: skip


def _counted_layers(count: int, *, moved: bool = False) -> Iterator[Any]:
    """Yield layers; `moved`: two of them are one, another has another shape, one was not counted, one is new."""
    yield _layer(0, "same", counters=_counters(count))
    if moved:
        yield _layer(1, "both", counters=_counters(2 * count))
    else:
        yield _layer(1, "left", counters=_counters(count))
        yield _layer(2, "right", counters=_counters(count))
    yield _layer(3, "between", counters=_counters(count))
    yield _layer(4, "shape", channels=4 if moved else 8, counters=_counters(count))
    yield _layer(5, "uncounted", counters=_counters(count) if moved else None)
    yield _layer(6, "after", counters=_counters(count))
    if moved:
        yield _layer(7, "new", counters=_counters(count))


if __name__ == "__main__":
    sys.exit(main())
