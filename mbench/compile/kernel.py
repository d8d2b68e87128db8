"""What a fused PrimFunc computes, read off its blocks. No scheduling decisions here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim
from tvm.s_tir import Schedule

from mbench.compile import bfloat16, byte_anchors, rows, windows
from mbench.compile.axis_computations import REARRANGED, STEPS
from mbench.compile.computations import ANY_REACH, REACH
from mbench.compile.expressions import UnknownExpressionError, is_reduction, rebuild
from mbench.compile.image_computations import ANNOTATION, EPSILON, GROUPS, NORM, TRANSPOSED
from mbench.compile.kernel_kinds import BatchMatmul, ChannelNorm, Convolution, Epilogue, Matmul, Pooling
from mbench.compile.phases import TransposedConvolution
from mbench.compile.rows import RowChain
from mbench.core import dtypes

_POOLS = ("pool_sum", "pool_max")


class Kernel:
    """One PrimFunc with one schedule under construction.

    Blocks are named by `compile.computations`, mostly as TVM does: the convolution's is `conv2d_nhwc`, or
    `group_conv2d_nhwc` if it has groups; its padding is `pad_temp`; a matrix product is `matmul`.
    """

    def __init__(self, function: tirx.PrimFunc) -> None:
        self.function = function
        self.schedule = Schedule(tvm.IRModule({"main": function}))

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks, in order, as they were before scheduling."""
        children = self.schedule.get_child_blocks(self.schedule.get_sblock("root"))
        return tuple(str(self.schedule.get(block).name_hint) for block in children)

    @cached_property
    def _read(self) -> dict[str, Any]:
        """The blocks themselves."""
        return {name: self.schedule.get(self.block(name)) for name in self.blocks}

    @cached_property
    def anchor(self) -> str | None:
        """Name of the block that reduces (convolution, matrix product, pooling); None for element-wise kernels."""
        return next((name for name in self.blocks if self._reduces(name)), None)

    @cached_property
    def epilogue(self) -> tuple[str, ...]:
        """Blocks after the anchor."""
        if self.anchor is None:
            return ()
        return self.blocks[self.blocks.index(self.anchor) + 1 :]

    @cached_property
    def extents(self) -> tuple[int, ...]:
        """Loop extents of the anchor, or of the first block; (n, y, x, c, ky, kx, ci) for a convolution."""
        block = self.schedule.get_sblock(self.anchor or self.blocks[0])
        return tuple(int(self.schedule.get(loop).extent) for loop in self.schedule.get_loops(block))

    @cached_property
    def parameter_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the function's parameters: input, weights, whatever the epilogue reads, output."""
        return tuple(tuple(int(extent) for extent in parameter.shape) for parameter in self.function.params)

    @cached_property
    def parameter_dtypes(self) -> tuple[str, ...]:
        """Types of the function's parameters, as their shapes."""
        return tuple(str(parameter.dtype) for parameter in self.function.params)

    @cached_property
    def dtype(self) -> str | None:
        """Type of the operands, one of `dtypes`; None for others, and where a sum is not in its accumulator's type.

        What an epilogue reads and the output may be of any of them. Of 8-bit values: see `byte_anchors.dtype`.
        """
        first, *others = self.parameter_dtypes
        if first in dtypes.EIGHT_BITS:
            if self.anchor is None:
                return None
            return byte_anchors.dtype(self.anchor, self.store(self.anchor), self.parameter_dtypes)
        if not {first, *others} <= set(dtypes.FLOATS):
            return None
        if self.anchor is None:
            return first
        weighted = any(word in self.anchor for word in ("conv2d", "matmul", TRANSPOSED))
        store = self.store(self.anchor)
        if not isinstance(store, tirx.BufferStore):  # several at once, as the place of a maximum
            return None
        right = {dtypes.of(first).accumulator, *([first] if isinstance(store.value, prim.Max) else [])}
        if str(store.buffer.dtype) not in right or (weighted and others[0] != first):
            return None
        return first

    @cached_property
    def zero_points(self) -> tuple[int, int]:
        """What is taken off both factors that the anchor multiplies, of 8-bit values; 0 where nothing is."""
        return byte_anchors.zero_points(self.store(self.anchor)) if self.dtype in dtypes.EIGHT_BITS else (0, 0)

    @cached_property
    def reach_of_weights(self) -> int:
        """The largest magnitude that the anchor's weights of 8 bits are known to have."""
        return ANY_REACH if self.anchor is None else int(self._read[self.anchor].annotations.get(REACH, ANY_REACH))

    @cached_property
    def outside(self) -> int:
        """What pads the image that the anchor reads: 0, but for 8-bit values with a zero point."""
        block = self._read.get(windows.PADDING)
        return 0 if block is None else int(windows.outside(block) or 0)

    @cached_property
    def convolution(self) -> Convolution | None:
        """The anchor as a convolution; None if it is none."""
        if self.anchor is None or "conv2d" not in self.anchor or self.dtype is None or len(self.extents) != 7:
            return None
        channels_last = "nchw" not in self.anchor
        source, weights, target = self.parameter_shapes[0], self.parameter_shapes[1], self.parameter_shapes[-1]
        batch, height, width, channels = target
        input_height, input_width, input_channels = source[1:] if channels_last else (*source[2:], source[1])
        window = windows.read(self._read, self.anchor, source, rows=1 if channels_last else 2)
        if window is None or self.extents != (*target, *weights[:3]) or input_channels % weights[2]:
            return None
        groups = input_channels // weights[2]
        own = windows.reads_groups(self._read[self.anchor], 3 if channels_last else 1, groups, weights[2])
        if channels % groups or not own:
            return None
        return Convolution(
            batch=batch,
            input_height=input_height,
            input_width=input_width,
            input_channels=input_channels,
            height=height,
            width=width,
            channels=channels,
            kernel_height=weights[0],
            kernel_width=weights[1],
            strides=window.strides,
            padding=window.padding,
            dilation=window.dilation,
            groups=groups,
            channels_last=channels_last,
            dtype=self.dtype,
        )

    @cached_property
    def transposed(self) -> TransposedConvolution | None:
        """The anchor as a transposed convolution; None if it is none."""
        if self.anchor != TRANSPOSED or self.blocks[0] != self.anchor or self.dtype is None:
            return None
        source, weights, target = self.parameter_shapes[0], self.parameter_shapes[1], self.parameter_shapes[-1]
        annotated = [int(each) for each in self._read[self.anchor].annotations[ANNOTATION]]
        down, across, top, left, bottom, right, apart_down, apart_across, groups, last = annotated
        return TransposedConvolution(
            batch=target[0],
            input_sides=(source[1], source[2]) if last else (source[2], source[3]),
            input_channels=weights[2] * groups,
            sides=(target[1], target[2]),
            channels=target[3],
            kernel=(weights[0], weights[1]),
            strides=(down, across),
            padding=(top, left, bottom, right),
            dilation=(apart_down, apart_across),
            groups=groups,
            channels_last=bool(last),
            dtype=self.dtype,
        )

    @cached_property
    def channel_norm(self) -> ChannelNorm | None:
        """The whole kernel but its epilogue as a norm by channel of an image (n, y, x, c); None if it is none."""
        if NORM not in self.blocks or len(self.parameter_shapes[0]) != 4 or self.dtype is None:
            return None
        annotated = self._read[NORM].annotations
        groups, last = map(int, annotated[GROUPS])
        batch, height, width, channels = self.parameter_shapes[0]
        if not last or self.parameter_shapes[-1] != (batch, height, width, channels):
            return None
        if self.parameter_shapes[1:3] != ((channels,), (channels,)):  # one parameter is both scale and shift
            return None
        return ChannelNorm(
            batch=batch, pixels=height * width, width=width, channels=channels, groups=groups,
            epsilon=float(annotated[EPSILON]),
        )  # fmt: skip

    @cached_property
    def moved_parts(self) -> tuple[tuple[int, int], ...] | None:
        """The whole kernel as a copy: sizes and steps of `axis_computations.STEPS`; None if it is none."""
        if self.blocks != (REARRANGED,) or STEPS not in self._read[REARRANGED].annotations:
            return None
        numbers = [int(each) for each in self._read[REARRANGED].annotations[STEPS]]
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))

    @cached_property
    def pooling(self) -> Pooling | None:
        """The anchor as a pool of windows over images (n, y, x, c); None if it is none."""
        if self.anchor not in _POOLS or self.dtype is None or len(self.extents) != 6:
            return None
        source, target = self.parameter_shapes[0], self.parameter_shapes[-1]
        window = windows.read(self._read, self.anchor, source, rows=1)
        if window is None or self.extents[:4] != target or source[3] != target[3]:
            return None
        read = Convolution(
            batch=target[0],
            input_height=source[1],
            input_width=source[2],
            input_channels=source[3],
            height=target[1],
            width=target[2],
            channels=target[3],
            kernel_height=self.extents[4],
            kernel_width=self.extents[5],
            strides=window.strides,
            padding=window.padding,
            dilation=window.dilation,
            groups=target[3],
            channels_last=True,
            dtype=self.dtype,
        )
        return Pooling(window=read, largest=self.anchor == "pool_max")

    @cached_property
    def matmul(self) -> Matmul | None:
        """The anchor as a product with weights: a fully connected layer, or a 1x1 convolution of every pixel."""
        if self.anchor is not None and self.anchor.startswith("matmul"):
            *lead, columns, reduction = self.extents
            whole = self.parameter_shapes[:2] == ((*lead, reduction), (reduction, columns))
            itself = self.blocks[0] == self.anchor  # and reads no block that lays the parameters out anew
            if not whole or not itself or self.dtype is None:
                return None
            return Matmul(rows=math.prod(lead), reduction=reduction, columns=columns, dtype=self.dtype)
        conv = self.convolution
        if conv is None or conv.groups > 1 or not conv.channels_last:
            return None
        if (conv.kernel_height, conv.kernel_width, *conv.strides, *conv.padding) != (1, 1, 1, 1, 0, 0, 0, 0):
            return None
        return Matmul(rows=conv.pixels, reduction=conv.input_channels, columns=conv.channels, dtype=conv.dtype)

    @cached_property
    def batch_matmul(self) -> BatchMatmul | None:
        """The anchor as matrix products of the first parameter and the second."""
        if self.anchor != "batch_matmul" or self.dtype is None:
            return None
        *lead, rows, columns, reduction = self.extents
        factors = self._read[self.anchor].body.value.b
        read = [windows.uncast(windows.less(factor)[0]) for factor in (factors.a, factors.b)]
        if not all(load.source.same_as(self.function.params[number]) for number, load in enumerate(read)):
            return None
        left, right = (((1,) * (len(lead) + 2 - len(shape)) + shape)[:-2] for shape in self.parameter_shapes[:2])
        return BatchMatmul(
            lead=tuple(lead), left=left, right=right, rows=rows, reduction=reduction, columns=columns, dtype=self.dtype
        )

    @cached_property
    def rows(self) -> RowChain | None:
        """The whole kernel as steps along rows; None if it is none."""
        if self.anchor is None or self.dtype is None:
            return None
        return rows.read(self._read, self.function.params)

    @property
    def sums_pixels(self) -> bool:
        """Whether the anchor adds up elements (n, y, x, c) of the first parameter over all y and x."""
        return self.reduced_pixels == "sum"

    @cached_property
    def reduced_pixels(self) -> Literal["sum", "max"] | None:
        """What the anchor makes of elements (n, y, x, c) of the first parameter over all y and x; None: nothing."""
        if self.anchor is None or self.blocks[0] != self.anchor or not self.dtype:
            return None
        source, target = self.parameter_shapes[0], self.parameter_shapes[-1]
        if len(source) != 4 or target not in ((source[0], 1, 1, source[3]), (source[0], source[3])):
            return None
        block = self.schedule.get(self.block(self.anchor))
        kind = {prim.Add: "sum", prim.Max: "max"}.get(type(block.body.value))
        reduced = windows.uncast(windows.less(block.body.value.b)[0]) if kind else None
        gone = [axis.var for axis in block.iter_vars if is_reduction(axis)]
        kept = [axis.var for axis in block.iter_vars if not is_reduction(axis)]
        if not isinstance(reduced, tvm.ir.TensorLoad) or len(gone) != 2 or len(kept) != len(target):
            return None
        wanted = (kept[0], *gone, kept[-1])
        same = all(index.same_as(axis) for index, axis in zip(reduced.indices, wanted, strict=True))
        return kind if same and reduced.source.same_as(self.function.params[0]) else None  # type: ignore[return-value]

    @cached_property
    def reduced_zero_point(self) -> int:
        """What is taken off all that the anchor adds up: 0, but for 8-bit values with a zero point."""
        return windows.less(self.store(self.anchor).value.b)[1]

    @cached_property
    def epilogue_of_sum(self) -> Epilogue | None:
        """The epilogue as a function of the anchor's sum; None if it reads something in a way not known here."""
        return self.epilogue_after(self.anchor)

    def epilogue_after(self, name: str | None) -> Epilogue | None:
        """Return what follows a block as a function of what it stores; None as in `epilogue_of_sum`."""
        following = self.blocks[self.blocks.index(name) + 1 :] if name else ()
        stores = [self.store(each) for each in (name, *following)]
        try:
            anywhere = [tirx.Var("i", "int32") for _ in self.parameter_shapes[-1]]
            sums = str(stores[0].buffer.dtype) if self.dtype in dtypes.EIGHT_BITS else "float32"
            self._finish(stores, tirx.Var("total", sums), anywhere, self._of_parameter)
        except UnknownExpressionError:
            return None
        start = None
        if len(stores) > 1 and all(isinstance(store.value, prim.Add) for store in stores[:2]):
            start = self._bias(stores)
        kept = stores if start is None else [stores[1], *stores[2:]]
        return Epilogue(start=start, finish=lambda total, indices, load: self._finish(kept, total, indices, load))

    def store(self, name: str | None) -> Any:
        """Return what a block stores."""
        return self.schedule.get(self.block(name)).body

    def _finish(self, stores: Sequence[Any], total: Any, indices: Sequence[Any], load: Callable[..., Any]) -> Any:
        """Apply all stores after the first to `total`, which stands for what the first one stores."""
        value = total
        for previous, store in itertools.pairwise(stores):
            value = rebuild(store.value, self._at(store, indices), _given(previous.buffer, value, indices, load))
        return bfloat16.as_stored(value, str(stores[-1].buffer.dtype))

    def _bias(self, stores: Sequence[Any]) -> Callable[[Sequence[Any], Callable[..., Any]], Any] | None:
        """Return the other summand of the first store after the anchor's, if the sum itself is one."""
        anchor, store = stores[0], stores[1]
        for total, other in ((store.value.a, store.value.b), (store.value.b, store.value.a)):
            if not (isinstance(total, tvm.ir.TensorLoad) and total.source.same_as(anchor.buffer)):
                continue
            try:
                rebuild(other, self._at(store, store.indices), self._of_parameter)
            except UnknownExpressionError:
                return None
            return lambda indices, load: rebuild(other, self._at(store, indices), load)
        return None

    def _of_parameter(self, source: Any, _indices: Sequence[Any]) -> Any:
        """Stand for a load from a parameter; what reads anything else does not come before the sum."""
        if not any(source.same_as(parameter) for parameter in self.function.params):
            raise UnknownExpressionError(f"{source.name} is no parameter")
        return tirx.Var("element", str(source.dtype))

    def _at(self, store: Any, indices: Sequence[Any]) -> list[tuple[Any, Any]]:
        """Return the block's variables as they are when it stores at `indices`."""
        return list(zip(store.indices, indices, strict=True))

    def result(self) -> tirx.PrimFunc:
        """Return the function as scheduled so far."""
        return self.schedule.mod["main"]

    def block(self, name: str | None) -> Any:
        """Return the schedule's handle of a block.

        Raises:
            ValueError: there is no name, as for the anchor of an element-wise kernel.
        """
        if name is None:
            raise ValueError("the kernel has no such block")
        return self.schedule.get_sblock(name)

    def _reduces(self, name: str) -> bool:
        return any(map(is_reduction, self.schedule.get(self.schedule.get_sblock(name)).iter_vars))


def _given(buffer: Any, value: Any, at: Sequence[Any], load: Callable[..., Any]) -> Callable[[Any, Sequence[Any]], Any]:
    """Return a loader that takes `value` for the element of `buffer` being stored, and `load` for all others."""

    def loaded(source: Any, indices: Sequence[Any]) -> Any:
        if not source.same_as(buffer):
            return load(source, indices)
        if any(index is not here for index, here in zip(indices, at, strict=True)):
            raise UnknownExpressionError(f"{buffer.name} is read at another place than it is written")
        return value

    return loaded
