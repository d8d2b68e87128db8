"""What sums up nothing: activations and gates left over, and moves such as transposes, slices and concatenations.

One pass over the output, line by line, in vectors; what does not fill a vector is done in shorter ones. Axes that all
operands have together are one line. Where a line is chosen from several operands by the place in it, as by a
concatenation, each stretch is code of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from tvm import DataType, ir, tirx
from tvm.ir.prim import expr as prim
from tvm.s_tir.schedule import ScheduleError
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has
from tvm.sym import Analyzer

from mbench.compile.expressions import LOGICAL, UnknownExpressionError, rebuild, walk
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import float_sums, tiling
from mbench.compile.schedules.rule import KernelPlan, Parameters, positive
from mbench.core import dtypes

_LINE = 512
"""Elements that are a line of their own: longer ones are not made, so that threads have lines to share."""
_VECTOR_CYCLES, _CALL_CYCLES = 2, 20
"""Of a vector: a guess, moving included."""
_MOST_STRETCHES = 64


def candidates(kernel: Kernel, machine: KernelMachine) -> Iterator[Parameters]:
    """Yield numbers of tasks, quickest first, for kernels that reduce nothing."""
    stores = [kernel.store(name) for name in kernel.blocks]
    if kernel.anchor is not None or not all(isinstance(store, tirx.BufferStore) for store in stores):
        return
    shape = kernel.parameter_shapes[-1]
    lines = math.prod(shape[:-1])
    calls = any(isinstance(each, ir.Call) for store in stores for each in walk(store.value))
    cycles = cycles_of(math.prod(shape), machine, calls=calls)
    sizes = zip(kernel.parameter_shapes, kernel.parameter_dtypes, strict=True)
    moved = float(sum(math.prod(each) * _bytes(dtype) for each, dtype in sizes))
    for grid in tiling.grids([1] * lines, 1, cycles, moved, machine)[:1]:
        yield {"line_parts": grid.outer}


def cycles_of(elements: int, machine: KernelMachine, *, calls: bool = False) -> float:
    """Return what a pass over so many elements takes one core. `calls`: whether they call functions, such as exp."""
    return elements / machine.lanes() * (_CALL_CYCLES if calls else _VECTOR_CYCLES)


def build(kernel: Kernel, machine: KernelMachine, parameters: Parameters) -> KernelPlan | None:
    """Write the kernel; None for one that cannot be written as one pass."""
    (parts,) = positive(parameters, "line_parts")
    try:
        for name in kernel.blocks[:-1]:
            kernel.schedule.compute_inline(kernel.block(name))
        only = _Pass.of(Kernel(kernel.result()), machine)
    except (ScheduleError, UnknownExpressionError):
        return None
    if only is None:
        return None
    writer = emit.Writer(kernel)
    with (
        writer.function() as arrays,
        emit.tasks(only.lines, min(parts, only.lines), 1, 1) as ((first, count), _),
        emit.loop(count) as number,
    ):
        line = emit.named(first + number)
        for stretch in only.stretches():
            _write(only, arrays, line, stretch)
    return KernelPlan(function=writer.result(), tile=f"1x1x{only.lanes}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pass:
    """One block over the whole output: `line` elements of its last axes are a line, of which there are `lines`."""

    kernel: Kernel
    value: Any
    variables: tuple[Any, ...]
    shape: tuple[int, ...]
    depth: int
    """Axes before those of a line."""
    lanes: int
    cuts: tuple[int, ...]
    """Where what a line is made of changes."""

    @classmethod
    def of(cls, kernel: Kernel, machine: KernelMachine) -> _Pass | None:
        """Read it off a kernel of one block; None for one that is no such pass."""
        [name] = kernel.blocks
        block = kernel.schedule.get(kernel.block(name))
        store, shape = block.body, kernel.parameter_shapes[-1]
        variables = tuple(axis.var for axis in block.iter_vars)
        if not isinstance(store, tirx.BufferStore) or len(variables) != len(shape):
            return None
        if not all(index.same_as(variable) for index, variable in zip(store.indices, variables, strict=True)):
            return None
        whole = cls(
            kernel=kernel, value=store.value, variables=variables, shape=shape, depth=len(shape) - 1, lanes=1, cuts=()
        )
        whole = dataclasses.replace(whole, cuts=whole._cuts())
        while not whole.cuts and whole.depth and whole._line_with(whole.depth - 1):
            whole = dataclasses.replace(whole, depth=whole.depth - 1)
        lanes = machine.vector_bits // 8 // _widest(kernel.parameter_dtypes, machine)
        while lanes > whole.line:
            lanes //= 2
        return dataclasses.replace(whole, lanes=lanes)

    @property
    def line(self) -> int:
        """Elements of a line."""
        return math.prod(self.shape[self.depth :])

    @property
    def lines(self) -> int:
        """How many there are."""
        return math.prod(self.shape[: self.depth])

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Yield where each part of a line begins and ends in which it is made of the same operands."""
        yield from itertools.pairwise((0, *self.cuts, self.line))

    def _cuts(self) -> tuple[int, ...]:
        """Return the places in a line that its last axis is compared with."""
        last, found = self.variables[-1], set[int]()
        for node in walk(self.value):
            if type(node) not in LOGICAL or isinstance(node, prim.And | prim.Or):
                continue
            for one, other, mirrored in ((node.a, node.b, False), (node.b, node.a, True)):
                if last.same_as(one) and isinstance(other, prim.IntImm):
                    found.update(_changes(type(node), int(other), mirrored=mirrored))
        inside = tuple(sorted(place for place in found if 0 < place < self.line))
        return inside if len(inside) < _MOST_STRETCHES else ()

    def _line_with(self, depth: int) -> bool:
        """Return whether the axes from `depth` on make a line: what is read lies along it, and nothing else asks."""
        wider = dataclasses.replace(self, depth=depth)
        if wider.line > _LINE:
            return False
        place = tirx.Var("place", "int32")
        outer = [tirx.Var(f"outer{axis}", "int32") for axis in range(depth)]
        asked = False

        def load(source: Any, indices: Sequence[Any]) -> Any:
            nonlocal asked
            position = wider.position(source, indices, outer, place)
            asked = asked or any(isinstance(each, prim.FloorDiv | prim.FloorMod) for each in walk(position))
            return tirx.Var("element", str(source.dtype))

        value = rebuild(self.value, wider.places(outer, place), load)
        return not asked and not any(place.same_as(variable) for variable in tirx.analysis.undefined_vars(value))

    def places(self, outer: Sequence[Any], place: Any) -> list[tuple[Any, Any]]:
        """Return the block's variables as they are at a place of a line."""
        inner = emit.unraveled(place, self.shape[self.depth :])
        return list(zip(self.variables, (*outer, *inner), strict=True))

    def position(self, source: Any, indices: Sequence[Any], outer: Sequence[Any], place: Any) -> Any:
        """Return where an element of an operand lies, as simple as it can be written."""
        position: Any = 0
        for index, extent in zip(indices, source.shape, strict=True):
            position = position * int(extent) + index
        if isinstance(position, int):
            return position
        analyzer = Analyzer()
        for variable, extent in zip((*outer, place), (*self.shape[: self.depth], self.line), strict=True):
            if not isinstance(variable, int):
                analyzer.bind(variable, ir.Range(0, extent))
        return analyzer.simplify(position)


def _widest(types: Sequence[str], machine: KernelMachine) -> int:
    """Return the bytes of the numbers that fill a vector: the widest; on Arm those of 8 bits that are given out.

    Arm narrows four registers to one of bytes in fewer instructions than each of them by itself.
    """
    if not machine.broadcasts_from_memory and types[-1] in dtypes.EIGHT_BITS:
        return 1
    return max(map(_bytes, types))


def _bytes(dtype: str) -> int:
    return int(DataType(dtype).itemsize)


def _changes(kind: type, number: int, *, mirrored: bool) -> tuple[int, ...]:
    """Return where the outcome of `place KIND number` changes; `mirrored`: of `number KIND place`."""
    if kind in (prim.EQ, prim.NE):
        return (number, number + 1)
    at = {prim.LT: 0, prim.GE: 0, prim.LE: 1, prim.GT: 1}[kind]
    return (number + (1 - at if mirrored else at),)


def _write(only: _Pass, arrays: list[Any], line: Any, stretch: tuple[int, int]) -> None:
    """Write one stretch of a line."""
    begin, end = stretch
    outer = [emit.named(index) for index in emit.unraveled(line, only.shape[: only.depth])]
    flat = list(zip(only.kernel.function.params, arrays, strict=True))
    start, lanes = begin, only.lanes
    while start < end:
        if lanes > end - start:
            lanes //= 2
            continue
        turns = (end - start) // lanes
        with emit.loop(turns) as turn:
            place = emit.named(start + turn * lanes)
            target = emit.named(line * only.line + place)
            with emit.lanes_of(lanes) as lane:
                value = _value(only, flat, outer, (place, lane), begin)
                T.buffer_store(arrays[-1], float_sums.stored(value), [target + lane])
        start += turns * lanes


def _value(only: _Pass, flat: list[tuple[Any, Any]], outer: list[Any], at: tuple[Any, Any], begin: int) -> Any:
    """Return the element at a lane of a vector; conditions are decided as they are where its stretch begins."""
    place, lane = at
    whole = tirx.Var("place", "int32")

    def load(source: Any, indices: Sequence[Any]) -> Any:
        array = next(array for parameter, array in flat if parameter.same_as(source))
        return array[only.position(source, indices, outer, whole)]

    def decide(condition: Any) -> bool | None:
        if not only.cuts:
            return None
        known = rebuild(condition, only.places(outer, begin), _no_load)
        return bool(known) if isinstance(known, prim.IntImm) else None

    value = rebuild(only.value, only.places(outer, whole), load, decide)
    known = [(whole, place + lane), *((each, each) for each in outer if not isinstance(each, int))]
    return rebuild(value, known, lambda array, position: array[position[0]])


def _no_load(_source: Any, _indices: Sequence[Any]) -> Any:
    raise UnknownExpressionError("an index that depends on data")
