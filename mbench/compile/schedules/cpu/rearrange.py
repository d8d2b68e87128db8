"""Copies whose lines lie across the source, such as channel shuffles and images that change their layout.

A line along the output is read `across` steps of the source, and what lies side by side there is a line further on in
the output. So squares are read as vectors of one kind, turned in registers, and written as vectors of the other. Where
a line is only a few elements, as many vectors are woven into each other.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from tvm import tirx

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import float_bytes
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import float_sums, tiling
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive

_MOST_WOVEN = 8
"""Elements of a line that vectors are woven for."""
_LEAST = 4
"""Elements that lie side by side in the source, from which on it pays to read them together."""
_SQUARE = 8
"""Sides of a square, at most: as many registers."""
_MOVED_A_CYCLE = 4
"""Elements: a guess."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Movement:
    """One loop of the copy: its size, one step in the output, and one in the source."""

    size: int
    target: int
    source: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Turned:
    """A copy: the last part of its output, that which lies side by side in the source, and all others."""

    across: _Movement
    beside: _Movement
    others: tuple[_Movement, ...]
    elements: int

    @classmethod
    def of(cls, kernel: Kernel) -> _Turned | None:
        """Read it off a kernel; None for one that is no copy, or has lines that are read as they lie."""
        steps = kernel.moved_parts
        if steps is None:
            return None
        parts = _together(steps)
        beside = next((part for part in parts if part.source == 1), None)
        if beside is None or beside is parts[-1] or beside.size < _LEAST:
            return None
        others = tuple(part for part in parts[:-1] if part is not beside)
        return cls(across=parts[-1], beside=beside, others=others, elements=math.prod(part.size for part in parts))

    @property
    def weaves(self) -> bool:
        """Whether the lines are short and follow each other."""
        return self.across.size <= _MOST_WOVEN and self.beside.target == self.across.size

    @property
    def turns(self) -> bool:
        """Whether there are squares."""
        return self.across.size >= _LEAST

    @property
    def outer(self) -> int:
        """How often the others turn, all together."""
        return math.prod(part.size for part in self.others)

    def side(self, lanes: int) -> int:
        """Return the side of a square, where a vector has so many lanes."""
        side = min(lanes, _SQUARE)
        while side > min(self.across.size, self.beside.size):
            side //= 2
        return side

    def blocks(self, lanes: int) -> int:
        """Return how many squares a line has, or stretches."""
        return 1 if self.weaves else -(-self.across.size // self.side(lanes))

    def bases(self, number: Any) -> tuple[Any, Any]:
        """Return where the output and the source begin, by the number of the turn of all other parts."""
        places = emit.unraveled(number, [part.size for part in self.others])
        target: Any = 0
        source: Any = 0
        for part, place in zip(self.others, places, strict=True):
            target, source = target + place * part.target, source + place * part.source
        return target, source


def _together(steps: Sequence[tuple[int, int]]) -> list[_Movement]:
    """Return the parts of a copy without sizes of 1; those that follow each other on both sides are one."""
    found: list[_Movement] = []
    target = 1
    for size, source in reversed(steps):
        if found and source == found[-1].source * found[-1].size:
            found[-1] = dataclasses.replace(found[-1], size=found[-1].size * size)
        elif size > 1:
            found.append(_Movement(size=size, target=target, source=source))
        target *= size
    return found[::-1]


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield numbers of tasks, quickest first."""
    turned = _Turned.of(kernel)
    dtype, *others = kernel.parameter_dtypes
    if turned is None or not (turned.weaves or turned.turns) or {*others} != {dtype}:
        return
    if dtype not in float_sums.TYPES or not machine.multiplies(dtype):
        return
    lanes = machine.sum_lanes(dtype)
    cycles, moved = turned.elements / _MOVED_A_CYCLE, 2.0 * float_bytes(dtype) * turned.elements
    grid = tiling.grids([1] * turned.outer, turned.blocks(lanes), cycles, moved, machine)[0]
    yield {"line_parts": grid.outer, "panel_parts": grid.inner}


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel."""
    turned = _Turned.of(kernel)
    if turned is None or not (turned.weaves or turned.turns):
        return None
    outer_parts, inner_parts = positive(parameters, "line_parts", "panel_parts")
    lanes = machine.sum_lanes(kernel.parameter_dtypes[0])
    side, writer = turned.side(lanes), emit.Writer(kernel)
    with (
        writer.function() as (source, target),
        emit.tasks(turned.outer, outer_parts, turned.blocks(lanes), inner_parts) as ((first, count), (block, many)),
        emit.loop(count) as number,
    ):
        bases = tuple(map(emit.named, turned.bases(emit.named(first + number))))
        if turned.weaves:
            _weave(turned, (target, source), bases, lanes)
        else:
            with emit.loop(many) as one:
                start = emit.panel_start(block + one, side, turned.across.size)
                _turn(turned, (target, source), bases, emit.named(start), side)
    tile = f"{turned.across.size}x1x{lanes}" if turned.weaves else f"{side}x1x{side}"
    return KernelPlan(function=writer.result(), tile=tile)


def _weave(turned: _Turned, arrays: tuple[Any, Any], bases: tuple[Any, Any], lanes: int) -> None:
    """Write one stretch of the output: vectors of the source, an element of each in turn."""
    (target, source), (into, out_of) = arrays, bases
    strands, done = turned.across.size, 0
    while done < turned.beside.size:
        if lanes > turned.beside.size - done:
            lanes //= 2
            continue
        turns = (turned.beside.size - done) // lanes
        with emit.loop(turns) as turn:
            place = emit.named(done + turn * lanes)
            read = [
                emit.vector(source, out_of + strand * turned.across.source + place, lanes) for strand in range(strands)
            ]
            if lanes == 1:
                for strand, value in enumerate(read):
                    emit.store(target, value, into + place * strands + strand, 1)
            else:
                order = [strand * lanes + lane for lane in range(lanes) for strand in range(strands)]
                emit.store(target, tirx.Shuffle(read, order), into + place * strands, lanes * strands)
        done += turns * lanes


def _turn(turned: _Turned, arrays: tuple[Any, Any], bases: tuple[Any, Any], start: Any, side: int) -> None:
    """Write the squares from a place of the output's lines on: each is turned by perfect shuffles of its rows."""
    (target, source), (into, out_of) = arrays, bases
    across, beside = turned.across, turned.beside
    with emit.loop(-(-beside.size // side)) as number:
        place = emit.named(emit.panel_start(number, side, beside.size))
        rows = [
            emit.named(emit.vector(source, out_of + (start + row) * across.source + place, side)) for row in range(side)
        ]
        half = side // 2
        for _ in range(side.bit_length() - 1):
            woven = []
            for one, other in zip(rows[:half], rows[half:], strict=True):
                for low in (0, half):
                    order = [each for lane in range(low, low + half) for each in (lane, side + lane)]
                    woven.append(emit.named(tirx.Shuffle([one, other], order)))
            rows = woven
        for row, value in enumerate(rows):
            emit.store(target, value, into + (place + row) * beside.target + start, side)
