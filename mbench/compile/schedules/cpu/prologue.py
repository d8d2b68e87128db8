"""What a matrix product first does to its rows, element by element, such as the multiplication of squeeze-excite.

It is no pass over memory. Either each task writes its rows, as the product is to read them, to an array of its own
thread, which the caches hold. Or, where all rows are multiplied by the same factors, one a channel, the rows stay as
they are, and each panel of weights is multiplied as it is taken up: (x diag(f)) W = x (diag(f) W).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import operator
from collections.abc import Sequence
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import fused_kernel, windows
from mbench.compile.expressions import UnknownExpressionError, rebuild
from mbench.compile.fused_kernel import FusedStage
from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import float_sums, tiling

ROWS, WEIGHTS = 1, 2
"""The ways: which operand of the product is changed."""
NAMES = {ROWS: "rows first", WEIGHTS: "weights first"}
VECTOR_CYCLES = 2
"""To load a vector, to change it, and to store it."""
_IMAGE_RANK = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prologue:
    """What becomes of the rows before the product reads them."""

    stage: FusedStage
    shape: tuple[int, ...]
    """Of the rows as an image: (n, y, x, c)."""
    ways: tuple[int, ...]
    rows: Any = None
    """The parameter that the factors multiply; only where weights can be changed instead."""
    factors: Any = None
    """The load of a channel's factor."""

    @property
    def _store(self) -> Any:
        [name] = self.stage.kernel.blocks
        return self.stage.kernel.store(name)

    def value(self, arrays: Sequence[Any], row: Any, start: Any, channel: Any) -> Any:
        """Return what the product is to read of a row and channel. `start`: where the row starts, its length times."""
        read, at = self.stage.read(arrays), emit.indices(self.shape, row, channel)

        def load(parameter: Any, indices: Sequence[Any]) -> Any:
            if len(indices) == len(at) and all(map(operator.is_, indices, at)):
                array = next(array for own, array in read if own.same_as(parameter))
                return array[start + channel]
            return emit.load_of(read, parameter, indices)

        return rebuild(self._store.value, list(zip(self._store.indices, at, strict=True)), load)

    def factor(self, arrays: Sequence[Any], channel: Any) -> Any:
        """Return the factor of a channel."""
        read = self.stage.read(arrays)
        at = [(variable, 0) for variable in self._store.indices[:-1]] + [(self._store.indices[-1], channel)]
        return rebuild(self.factors, at, lambda parameter, indices: emit.load_of(read, parameter, indices))

    def operands(self, way: int, arrays: Sequence[Any], plain: Operands, tasks: RowTasks, lanes: int) -> Operands:
        """Return what the tiles read instead of the kernel's parameters. `lanes`: of the machine's vectors."""
        if way == ROWS:
            return _ChangedRows(self, arrays, plain, tasks, lanes)
        return _ChangedWeights(self, arrays, plain)

    def source(self, arrays: Sequence[Any]) -> Any:
        """Return the array that the rows are in where they stay as they are."""
        return next(array for own, array in self.stage.read(arrays) if own.same_as(self.rows))


def read(kernel: Kernel) -> tuple[Prologue, FusedStage] | None:
    """Return the prologue of a kernel, and the product that follows; None for a kernel of another kind."""
    match fused_kernel.stages(kernel.function):
        case (first, product) if first.kernel.anchor is None and product.kernel.matmul is not None:
            pass
        case _:
            return None
    if product.places[0] is not None or any(place is None for place in (*first.places, *product.places[1:])):
        return None
    dtype = product.kernel.parameter_dtypes[0]
    if len(first.kernel.blocks) != 1 or {*first.kernel.parameter_dtypes} != {dtype} or dtype not in float_sums.TYPES:
        return None
    shape, store = first.kernel.parameter_shapes[-1], first.kernel.store(first.kernel.blocks[0])
    if len(shape) != _IMAGE_RANK or not _is_known(store):
        return None
    rows, factors = _factored(store, shape)
    ways = (ROWS,) if factors is None else (ROWS, WEIGHTS)
    return Prologue(stage=first, shape=shape, ways=ways, rows=rows, factors=factors), product


def _is_known(store: Any) -> bool:
    try:
        at = [(variable, variable) for variable in store.indices]
        rebuild(store.value, at, lambda source, _indices: tirx.Var("element", str(source.dtype)))
    except UnknownExpressionError:
        return False
    return True


def _factored(store: Any, shape: Sequence[int]) -> tuple[Any, Any]:
    """Return the parameter with the rows and the load of a factor, where the whole is such a product; else None."""
    value = windows.uncast(store.value)
    if not isinstance(value, prim.Mul):
        return None, None
    sides = windows.uncast(value.a), windows.uncast(value.b)
    for rows, factors in (sides, sides[::-1]):
        if not all(isinstance(each, tvm.ir.TensorLoad) for each in (rows, factors)):
            continue
        whole = tuple(int(extent) for extent in rows.source.shape) == tuple(shape) and all(
            extent == 1 or _same(index, own)
            for index, own, extent in zip(rows.indices, store.indices, shape, strict=True)
        )
        pixels = [index for index, extent in zip(store.indices[:-1], shape[:-1], strict=True) if extent > 1]
        if whole and not any(_same(index, pixel) for index in factors.indices for pixel in pixels):
            return rows.source, factors
    return None, None


def _same(one: Any, other: Any) -> bool:
    return bool(other.same_as(one))


# --------------------------------------------------------------------------------------------------------------- model
def vectors(way: int, product: Matmul, *, row_parts: int, panel_parts: int, cores: int, lanes: int) -> float:
    """Return how many vectors of so many lanes the busiest core changes.

    The tasks of one core follow each other, those of the same rows too: it changes these once.
    """
    count = row_parts * panel_parts
    each = -(-count // cores)
    if way == WEIGHTS:
        return each * product.reduction * -(-product.columns // lanes) / panel_parts
    runs = ((first, min(first + each, count) - 1) for first in range(0, count, each))
    parts = max(last // panel_parts - first // panel_parts + 1 for first, last in runs)
    return parts * product.rows / row_parts * -(-product.reduction // lanes)


# ------------------------------------------------------------------------------------------------------------- writing
class Operands:
    """Where tiles read rows and weights: here in the kernel's parameters. Panels are `vectors` x `lanes` columns."""

    def __init__(self, source: Any, weights: Any, reduction: int, vectors: int, lanes: int) -> None:
        self.source, self.weights, self.reduction, self.vectors, self.lanes = source, weights, reduction, vectors, lanes

    @property
    def panel_elements(self) -> int:
        """How many weights a panel has."""
        return self.reduction * self.vectors * self.lanes

    def begin(self, tile: Any, tiles: Any) -> None:
        """Begin a task of so many tiles of rows, from `tile` on."""

    def begin_panel(self, panel: Any) -> None:
        """Begin a panel of a task."""

    def row_start(self, row: Any) -> Any:
        """Return where a row of the task starts in `source`."""
        return row * self.reduction

    def panel_start(self, panel: Any) -> Any:
        """Return where the panel starts in `weights`."""
        return panel * self.panel_elements


class _ChangedRows(Operands):
    """Rows that are written to an array of the thread's own as a task begins."""

    def __init__(self, prologue: Prologue, arrays: Sequence[Any], plain: Operands, tasks: RowTasks, lanes: int) -> None:
        super().__init__(plain.source, plain.weights, plain.reduction, plain.vectors, plain.lanes)
        self._prologue, self._arrays, self._tasks, self._widest = prologue, arrays, tasks, lanes
        self.source = T.alloc_buffer((tasks.most_rows * self.reduction,), str(plain.source.dtype))
        self._first: Any = 0
        self._made = None
        if tasks.panel_parts > 1:
            self._made = T.alloc_buffer((1,), "int32")
            T.buffer_store(self._made, -1, [0])

    def begin(self, tile: Any, tiles: Any) -> None:
        """Write the rows of a task, unless they were those of the thread's task before."""
        self._first = emit.named(self._tasks.first_row(tile))
        end = emit.named(tile + tiles)
        with contextlib.ExitStack() as new:
            if self._made is not None:
                new.enter_context(T.If(T.bind(self._made[0] != end)))
                new.enter_context(T.Then())
                T.buffer_store(self._made, end, [0])
            count = emit.named(self._tasks.first_row(end) - self._first)
            with emit.loop(count) as number:
                self._write(emit.named(self._first + number), emit.named(number * self.reduction))

    def _write(self, row: Any, to: Any) -> None:
        start, begin, lanes = emit.named(row * self.reduction), 0, self._widest
        while begin < self.reduction:
            turns = (self.reduction - begin) // lanes
            if not turns:
                lanes //= 2
                continue
            with emit.loop(turns) as turn:
                channel = emit.named(begin + turn * lanes)
                with emit.lanes_of(lanes) as lane:
                    value = self._prologue.value(self._arrays, row, start, channel + lane)
                    T.buffer_store(self.source, float_sums.stored(value), [to + (channel + lane)])
            begin += turns * lanes

    def row_start(self, row: Any) -> Any:
        """Return where a row of the task starts in the array.

        In 64 bits: LLVM does not see that the difference fits 32, and would extend the place of every element.
        """
        return tirx.Cast("int64", (row - self._first) * self.reduction)


class _ChangedWeights(Operands):
    """Panels of weights that are written to an array of the thread's own as they are taken up."""

    def __init__(self, prologue: Prologue, arrays: Sequence[Any], plain: Operands) -> None:
        super().__init__(prologue.source(arrays), plain.weights, plain.reduction, plain.vectors, plain.lanes)
        self._prologue, self._arrays, self._packed = prologue, arrays, plain
        self.weights = T.alloc_buffer((self.panel_elements,), str(plain.weights.dtype))

    def begin_panel(self, panel: Any) -> None:
        """Write a panel, each weight times the factor of the channel that it is multiplied with."""
        packed, width = emit.named(self._packed.panel_start(panel)), self.vectors * self.lanes
        with emit.loop(self.reduction) as step:
            factor = emit.broadcast(self._prologue.factor(self._arrays, step), self.lanes)
            for v in range(self.vectors):
                value = emit.vector(self._packed.weights, packed + (step * width + v * self.lanes), self.lanes)
                emit.store(self.weights, value * factor, step * width + v * self.lanes, self.lanes)

    def panel_start(self, panel: Any) -> Any:
        """Return where the panel starts in the array."""
        return 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowTasks:
    """How tiles of rows and panels are shared out."""

    cut: tiling.Cut
    row_parts: int
    panel_parts: int

    def first_row(self, tile: Any) -> Any:
        """Return the row that a tile starts with; of the one after the last, how many rows there are."""
        larger, smaller = self.cut.parts[0], self.cut.parts[-1]
        if larger is smaller:
            return tile * larger.size
        beyond = min(tile, larger.end) if isinstance(tile, int) else tirx.min(tile, larger.end)
        return tile * smaller.size + beyond * (larger.size - smaller.size)

    @property
    def most_rows(self) -> int:
        """The rows of the largest part, as `emit.part` makes them."""
        ends: list[int] = [
            self.first_row(self.cut.count * part // self.row_parts) for part in range(self.row_parts + 1)
        ]
        return max(end - begin for begin, end in itertools.pairwise(ends))
