"""What a fused PrimFunc computes, read off its blocks. No scheduling decisions here."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import tvm
from tvm import tirx
from tvm.ir.prim import expr as prim
from tvm.s_tir import Schedule

from mbench.compile.expressions import UnknownExpressionError, rebuild
from mbench.core import dtypes

_REDUCTION = 2  # tvm.tirx.IterVar.CommReduce
_PADDING = "pad_temp"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution with weights (ky, kx, ci, c), output (n, y, x, c), and input (n, y, x, ci) or (n, ci, y, x).

    A depthwise one has `input_channels` equal to `channels` and weights (ky, kx, 1, c).
    """

    batch: int
    input_height: int
    input_width: int
    input_channels: int
    height: int
    width: int
    channels: int
    kernel_height: int
    kernel_width: int
    stride: int
    padding: int
    depthwise: bool
    channels_last: bool
    dtype: str = dtypes.DEFAULT
    """Of input and weights; sums are float32."""

    @property
    def pixels(self) -> int:
        """Output pixels, batch and all."""
        return self.batch * self.height * self.width

    @property
    def reduction(self) -> int:
        """Multiply-adds for each element of the output."""
        return self.kernel_height * self.kernel_width * (1 if self.depthwise else self.input_channels)

    @property
    def moved_bytes(self) -> int:
        """Of input and output together, in float32."""
        read = self.batch * self.input_height * self.input_width * self.input_channels
        return 4 * (read + self.pixels * self.channels)

    @property
    def signature(self) -> str:
        """What distinguishes it from others, in one word: the key of tuned choices."""
        kind = "depthwise" if self.depthwise else "conv2d"
        layout = "nhwc" if self.channels_last else "nchw"
        return (
            f"{kind}_{layout}_{self.batch}x{self.input_height}x{self.input_width}x{self.input_channels}"
            f"_k{self.kernel_height}x{self.kernel_width}_s{self.stride}_p{self.padding}_{self.channels}"
            f"{_suffix(self.dtype)}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matmul:
    """A matrix product: (rows, reduction) x (reduction, columns), all contiguous."""

    rows: int
    reduction: int
    columns: int
    dtype: str = dtypes.DEFAULT
    """Of both operands; sums are float32."""

    @property
    def signature(self) -> str:
        """What distinguishes it from others, in one word: the key of tuned choices."""
        return f"matmul_{self.rows}x{self.reduction}x{self.columns}{_suffix(self.dtype)}"

    @property
    def moved_bytes(self) -> int:
        """Of the rows, in and out, in float32."""
        return 4 * self.rows * (self.reduction + self.columns)


def _suffix(dtype: str) -> str:
    return "" if dtype == dtypes.DEFAULT else f"_{dtype}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epilogue:
    """What follows the reduction, element by element.

    `start(indices, load)` is what the sum may begin with (a bias), None for zero; `finish(sum, indices, load)` turns
    the sum into the output. `load(parameter, indices)` reads a parameter of the function.
    """

    start: Callable[[Sequence[Any], Callable[..., Any]], Any] | None
    finish: Callable[[Any, Sequence[Any], Callable[..., Any]], Any]


class Kernel:
    """One PrimFunc with one schedule under construction.

    Blocks are named by TVM: the convolution's is `conv2d_nhwc`, or `group_conv2d_nhwc` if depthwise; its padding is
    `pad_temp`; a matrix product is `matmul`.
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

        What an epilogue reads and the output may be of any of them.
        """
        first, *others = self.parameter_dtypes
        if not {first, *others} <= set(dtypes.NAMES):
            return None
        if self.anchor is None:
            return first
        weighted = any(word in self.anchor for word in ("conv2d", "matmul"))
        accumulator = dtypes.of(first).accumulator
        if str(self._store(self.anchor).buffer.dtype) != accumulator or (weighted and others[0] != first):
            return None
        return first

    @cached_property
    def convolution(self) -> Convolution | None:
        """The anchor as a convolution with equal strides and equal padding on all sides; None if it is no such."""
        if self.anchor is None or "conv2d" not in self.anchor or self.blocks.index(self.anchor) > 1:
            return None
        if self.dtype is None or len(self.extents) != 7:
            return None
        if not set(self.blocks[: self.blocks.index(self.anchor)]) <= {_PADDING}:
            return None
        channels_last = "nchw" not in self.anchor
        source, weights, target = self.parameter_shapes[0], self.parameter_shapes[1], self.parameter_shapes[-1]
        batch, height, width, channels = target
        input_height, input_width, input_channels = source[1:] if channels_last else (*source[2:], source[1])
        stride, step, padding = self._steps(channels_last)
        depthwise = weights[2] == 1 and input_channels == channels > 1
        if stride is None or step != (1, 1) or weights[2] not in (1 if depthwise else input_channels,):
            return None
        if padding is None or self.extents[:4] != target:
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
            stride=stride,
            padding=padding,
            depthwise=depthwise,
            channels_last=channels_last,
            dtype=self.dtype,
        )

    @cached_property
    def matmul(self) -> Matmul | None:
        """The anchor as a matrix product: a fully connected layer, or a 1x1 convolution of every pixel."""
        if self.anchor is not None and self.anchor.startswith("matmul") and len(self.extents) == 3:
            rows, columns, reduction = self.extents
            whole = self.parameter_shapes[:2] == ((rows, reduction), (reduction, columns))
            if not whole or self.dtype is None:
                return None
            return Matmul(rows=rows, reduction=reduction, columns=columns, dtype=self.dtype)
        conv = self.convolution
        if conv is None or conv.depthwise or not conv.channels_last:
            return None
        if (conv.kernel_height, conv.kernel_width, conv.stride, conv.padding) != (1, 1, 1, 0):
            return None
        return Matmul(rows=conv.pixels, reduction=conv.input_channels, columns=conv.channels, dtype=conv.dtype)

    @cached_property
    def sums_pixels(self) -> bool:
        """Whether the anchor adds up elements (n, y, x, c) of the first parameter over all y and x."""
        if self.anchor is None or self.blocks[0] != self.anchor or len(self.extents) != 6 or not self.dtype:
            return False
        source, target = self.parameter_shapes[0], self.parameter_shapes[-1]
        if len(source) != 4 or target != (source[0], 1, 1, source[3]):
            return False
        block = self.schedule.get(self.block(self.anchor))
        value = block.body.value
        added = _uncast(value.b) if isinstance(value, prim.Add) else None
        if not isinstance(added, tvm.ir.TensorLoad):
            return False
        batch, _, _, channel, y, x = (axis.var for axis in block.iter_vars)
        read = added.indices
        return added.source.same_as(self.function.params[0]) and all(
            index.same_as(axis) for index, axis in zip(read, (batch, y, x, channel), strict=True)
        )

    def _steps(self, channels_last: bool) -> tuple[int | None, tuple[int, int], int | None]:
        """Return stride, dilations and padding, read off the indices; None where the two directions differ."""
        rows = 1 if channels_last else 2

        def position(block: str, moved: int) -> tuple[int, int]:
            """Return the (row, column) that a block reads when iteration variable `moved` is 1 and the others 0."""
            body = self.schedule.get(self.block(block))
            value = _uncast(body.body.value.b.a) if block == self.anchor else _unpadded(body.body.value)
            variables = [(axis.var, int(number == moved)) for number, axis in enumerate(body.iter_vars)]
            indices = [rebuild(index, variables, _no_load) for index in value.indices]
            return int(indices[rows]), int(indices[rows + 1])

        try:
            strides = (position(str(self.anchor), 1)[0], position(str(self.anchor), 2)[1])
            dilations = (position(str(self.anchor), 4)[0], position(str(self.anchor), 5)[1])
            padded = _PADDING in self.blocks
            paddings = tuple(-offset for offset in position(_PADDING, -1)) if padded else (0, 0)
        except (UnknownExpressionError, AttributeError):
            return None, (0, 0), None
        stride = strides[0] if strides[0] == strides[1] else None
        return stride, dilations, paddings[0] if paddings[0] == paddings[1] else None

    @cached_property
    def epilogue_of_sum(self) -> Epilogue | None:
        """The epilogue as a function of the anchor's sum; None if it reads something in a way not known here."""
        stores = [self._store(name) for name in (self.anchor, *self.epilogue)]
        try:
            anywhere = [tirx.Var("i", "int32") for _ in self.parameter_shapes[-1]]
            self._finish(stores, tirx.const(0, "float32"), anywhere, self._of_parameter)
        except UnknownExpressionError:
            return None
        start = None
        if len(stores) > 1 and isinstance(stores[1].value, prim.Add):
            start = self._bias(stores)
        kept = stores if start is None else [stores[1], *stores[2:]]
        return Epilogue(start=start, finish=lambda total, indices, load: self._finish(kept, total, indices, load))

    def _store(self, name: str | None) -> Any:
        return self.schedule.get(self.block(name)).body

    def _finish(self, stores: Sequence[Any], total: Any, indices: Sequence[Any], load: Callable[..., Any]) -> Any:
        """Apply all stores after the first to `total`, which stands for what the first one stores."""
        value = total
        for previous, store in itertools.pairwise(stores):
            value = rebuild(store.value, self._at(store, indices), _given(previous.buffer, value, indices, load))
        return value

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
        return tirx.const(0, "float32")

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
        block = self.schedule.get(self.schedule.get_sblock(name))
        return any(int(var.iter_type) == _REDUCTION for var in block.iter_vars)


def _no_load(_buffer: Any, _indices: Sequence[Any]) -> Any:
    raise UnknownExpressionError("an index that depends on data")


def _uncast(value: Any) -> Any:
    """Return what is cast, or the value itself."""
    return value.value if isinstance(value, prim.Cast) else value


def _unpadded(value: Any) -> Any:
    """Return the load in if_then_else(inside, load, 0), or the load itself where nothing is padded."""
    return value if isinstance(value, tvm.ir.TensorLoad) else value.args[1]


def _given(buffer: Any, value: Any, at: Sequence[Any], load: Callable[..., Any]) -> Callable[[Any, Sequence[Any]], Any]:
    """Return a loader that takes `value` for the element of `buffer` being stored, and `load` for all others."""

    def loaded(source: Any, indices: Sequence[Any]) -> Any:
        if not source.same_as(buffer):
            return load(source, indices)
        if any(index is not here for index, here in zip(indices, at, strict=True)):
            raise UnknownExpressionError(f"{buffer.name} is read at another place than it is written")
        return value

    return loaded
