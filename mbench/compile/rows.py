"""Kernels that reduce along rows, read off their blocks: softmax, layer norm, means and maxima of the last axes.

A row is what the last axes hold together. Such a kernel is a chain of blocks: some reduce each row to one number, some
compute a number for each row from others, some compute rows. What they read lies like a row, or is one number a row.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from tvm import tirx
from tvm.ir.prim import expr as prim

from mbench.compile.expressions import FUNCTIONS, UnknownExpressionError, is_reduction, rebuild


class RowRead(NamedTuple):
    """A load. `like` says how it lies: as all `rows`, as one row (`columns`), one number a `row`, or one in `all`."""

    source: Any
    like: Literal["rows", "columns", "row", "all"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowStep:
    """A block. `reduces` is None for one that reduces nothing; `whole`: it computes rows, not one number for each."""

    buffer: Any
    reduces: Literal["sum", "max", "min"] | None
    whole: bool
    _expression: Any
    _variables: tuple[tuple[Any, Any], ...]
    _read: Callable[[Any, Sequence[Any]], RowRead]

    def value(self, load: Callable[[RowRead], Any]) -> Any:
        """Return what it computes, or what it reduces; `load` makes its loads."""
        return rebuild(self._expression, self._variables, lambda source, at: load(self._read(source, at)))

    def reads(self) -> list[RowRead]:
        """Return what it loads.

        Raises:
            UnknownExpressionError: something in another way than rows do.
        """
        found = []

        def load(read: RowRead) -> Any:
            found.append(read)
            return tirx.Var("element", str(read.source.dtype))

        self.value(load)
        return found

    @property
    def calls(self) -> bool:
        """Whether it calls a function for each element."""
        return any(f"T.{name}(" in str(self._expression) for name in FUNCTIONS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowChain:
    """`rows` rows of `columns` elements each, and the steps from the parameters to the output."""

    rows: int
    columns: int
    steps: tuple[RowStep, ...]


def read(blocks: Mapping[str, Any], parameters: Sequence[Any]) -> RowChain | None:
    """Return a kernel's blocks as a chain along rows; None if they are none.

    Args:
        blocks: of the kernel by name, in order.
        parameters: of the kernel.
    """
    reducing = next((block for block in blocks.values() if any(map(is_reduction, block.iter_vars))), None)
    if reducing is None:
        return None
    shape = _shape_of(reducing)
    depth = len(shape) - sum(map(is_reduction, reducing.iter_vars))
    steps: list[RowStep] = []
    for block in blocks.values():
        step = _step(block, shape, depth)
        if step is None:
            return None
        steps.append(step)
    known = [*parameters[:-1], *(step.buffer for step in steps[:-1])]
    try:
        reads = [read for step in steps for read in step.reads()]
    except UnknownExpressionError:
        return None
    if any(not any(read.source.same_as(each) for each in known) for read in reads):
        return None
    return RowChain(rows=math.prod(shape[:depth]), columns=math.prod(shape[depth:]), steps=tuple(steps))


def _shape_of(block: Any) -> tuple[int, ...]:
    """Return the extents of a block that reduces: those that are kept, then those of the row."""
    axes = [*(axis for axis in block.iter_vars if not is_reduction(axis)), *filter(is_reduction, block.iter_vars)]
    return tuple(int(axis.dom.extent) for axis in axes)


def _step(block: Any, shape: tuple[int, ...], depth: int) -> RowStep | None:
    """Return a block as a step of a chain whose rows begin at axis `depth`; None if it is none."""
    store, axes, extents = block.body, list(block.iter_vars), [int(axis.dom.extent) for axis in block.iter_vars]
    kept = [axis for axis in axes if not is_reduction(axis)]
    if not isinstance(store, tirx.BufferStore) or axes[: len(kept)] != kept:
        return None
    if [index.same_as(axis.var) for index, axis in zip(store.indices, kept, strict=False)] != [True] * len(kept):
        return None
    if len(store.indices) != len(kept):
        return None
    if len(kept) < len(axes):
        kinds = {prim.Add: "sum", prim.Max: "max", prim.Min: "min"}
        if str(store.buffer.dtype) != "float32":
            return None
        if tuple(extents) != shape or len(kept) != depth or type(store.value) not in kinds:
            return None
        reduces, expression = kinds[type(store.value)], store.value.b
    elif tuple(extents) in (shape, shape[:depth]):
        reduces, expression = None, store.value
    else:
        return None
    whole = reduces is None and len(axes) == len(shape)
    return RowStep(
        buffer=store.buffer,
        reduces=reduces,  # type: ignore[arg-type]
        whole=whole,
        _expression=expression,
        _variables=tuple((axis.var, axis.var) for axis in axes),
        _read=_reader([axis.var for axis in axes], shape, depth),
    )


def _reader(variables: list[Any], shape: tuple[int, ...], depth: int) -> Callable[[Any, Sequence[Any]], RowRead]:
    """Return a function that says how a load of a block with these variables lies."""

    def like(source: Any, indices: Sequence[Any]) -> RowRead:
        places = [_place(index, variables) for index in indices]
        own = tuple(int(extent) for extent in source.shape)
        moving = [place for place in places if place is not None]
        if places == list(range(len(shape))) and own == shape:
            return RowRead(source, "rows")
        if moving == list(range(depth, len(shape))) and own[len(own) - len(moving) :] == shape[depth:]:
            return RowRead(source, "columns")
        if moving == list(range(depth)) and math.prod(own) == math.prod(shape[:depth]):
            return RowRead(source, "row")
        if not moving:
            return RowRead(source, "all")
        raise UnknownExpressionError(f"{source.name} is read neither along rows nor across them")

    return like


def _place(index: Any, variables: list[Any]) -> int | None:
    """Return which variable an index is; None for the number 0.

    Raises:
        UnknownExpressionError: it is neither.
    """
    if isinstance(index, int) and index == 0:
        return None
    for number, variable in enumerate(variables):
        if variable.same_as(index):
            return number
    raise UnknownExpressionError(f"index {index}")
