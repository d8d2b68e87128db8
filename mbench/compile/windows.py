"""Windows that slide over images, read off a kernel's blocks: how far apart they are, their taps, and the padding."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim
from tvm.sym import Analyzer

from mbench.compile.expressions import UnknownExpressionError, rebuild

PADDING = "pad_temp"
"""The block that pads an image."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sliding:
    """Strides and dilation are (down, across), padding is (top, left, bottom, right)."""

    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]


NamedBlocks = Mapping[str, Any]
"""The blocks of a kernel by name, in order."""


def read(blocks: NamedBlocks, anchor: str, source: Sequence[int], *, rows: int) -> Sliding | None:
    """Return how the windows of a kernel slide; None if it reads its first parameter in another way.

    Args:
        blocks: of the kernel.
        anchor: the block that reduces, with the axes (n, y, x, c), then those of the window (ky, kx), then others.
        source: the shape of what it reads.
        rows: the axis of y in that; the axis of x follows it.
    """
    before = tuple(itertools.takewhile(lambda name: name != anchor, blocks))
    if before not in ((), (PADDING,)):
        return None
    try:
        strides, dilation = (
            (_place(blocks[anchor], {down: 1})[rows], _place(blocks[anchor], {across: 1})[rows + 1])
            for down, across in ((1, 2), (4, 5))
        )
        if before == ():
            return Sliding(strides=strides, padding=(0, 0, 0, 0), dilation=dilation)
        top, left = (-offset for offset in _place(blocks[PADDING], {})[rows : rows + 2])
    except (UnknownExpressionError, AttributeError):
        return None
    height, width = (int(axis.dom.extent) for axis in blocks[PADDING].iter_vars[rows : rows + 2])
    padding = (top, left, height - source[rows] - top, width - source[rows + 1] - left)
    return Sliding(strides=strides, padding=padding, dilation=dilation)


def reads_groups(block: Any, axis: int, groups: int, inputs: int) -> bool:
    """Return whether a convolution's output channels read `inputs` channels each, those of their own group.

    Args:
        block: of the axes (n, y, x, c, ky, kx, ci).
        axis: of the channels in what is read.
        groups: how many groups there are.
        inputs: channels of each group.
    """
    channel, own = block.iter_vars[3], block.iter_vars[6].var
    read = _first(block.body.value.b)
    if not isinstance(read, tvm.ir.TensorLoad):
        return False
    if groups == 1:
        return bool(read.indices[axis].same_as(own))
    wanted = tirx.floordiv(channel.var, int(channel.dom.extent) // groups) * inputs + own
    return bool(Analyzer().can_prove_equal(read.indices[axis], wanted))


def _place(block: Any, moved: Mapping[int, int]) -> list[int]:
    """Return the indices that a block reads when its variables `moved` have these values and the others are 0.

    In a block of padding, they are those inside of the image, and may be negative.
    """
    value = _unpadded(block.body.value) if block.name_hint == PADDING else _first(block.body.value.b)
    variables = [(axis.var, moved.get(number, 0)) for number, axis in enumerate(block.iter_vars)]
    return [int(rebuild(index, variables, _no_load)) for index in value.indices]


def _first(value: Any) -> Any:
    """Return the load in `load`, `load * other`, or either cast and less a number."""
    return uncast(less(value.a if isinstance(value, prim.Mul) else value)[0])


def uncast(value: Any) -> Any:
    """Return what is cast, or the value itself."""
    return value.value if isinstance(value, prim.Cast) else value


def _unpadded(value: Any) -> Any:
    """Return the load in if_then_else(inside, load, 0), or the load itself where nothing is padded."""
    return value if isinstance(value, tvm.ir.TensorLoad) else value.args[1]


def less(value: Any) -> tuple[Any, int]:
    """Return what a whole number is taken off, and that number: 0 where none is."""
    if not isinstance(value, prim.Sub | prim.Add) or not isinstance(value.b, prim.IntImm):
        return value, 0
    return value.a, int(value.b) if isinstance(value, prim.Sub) else -int(value.b)


def outside(block: Any) -> Any:
    """Return what a block of padding puts around an image; None where it pads nothing."""
    value = block.body.value
    return None if isinstance(value, tvm.ir.TensorLoad) else value.args[2]


def _no_load(_buffer: Any, _indices: Sequence[Any]) -> Any:
    raise UnknownExpressionError("an index that depends on data")
