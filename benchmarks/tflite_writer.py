"""A folded graph with its parameters as a .tflite file in float32, for LiteRT; written without TensorFlow.

Everything is written as XNNPACK takes it best: images channels last, activations fused into what they follow, padding
as SAME where that means the same, else as a Pad, which XNNPACK joins to the convolution. Inputs and outputs that are
images lie channels last, (N, H, W, C); all others as the graph has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_file import CODES, FUSED, TfliteFile

from mbench.networks import layout
from mbench.networks.graph import Graph, Node

_IMAGE_RANK = 4
_SPATIAL = (1, 2)
_LAST = (0, 2, 3, 1)
"""The axes of an image as they lie channels last."""
_FUSES = {"conv2d", "linear", "add", "multiply", "subtract", "divide"}
"""Operations that have a fused activation."""


class TfliteError(ValueError):
    """LiteRT has no form for a node of the graph."""


def model(graph: Graph, parameters: Mapping[str, np.ndarray]) -> bytes:
    """Return the file of a folded graph.

    Args:
        graph: the network.
        parameters: the numbers of all its parameters.

    Raises:
        TfliteError: there is no form for an operation, or for what its attributes say.
    """
    writer = _Writer(graph, parameters)
    for node in graph.nodes:
        if node.name in writer.done:
            continue
        if node.op not in _OPERATIONS:
            raise TfliteError(f"operation {node.op!r} of node {node.name!r} has no form in LiteRT here")
        _OPERATIONS[node.op](writer, node)
    return writer.content()


class _Writer:
    """A graph on its way into a file. A value is a tensor, or two where it is read in both layouts."""

    def __init__(self, graph: Graph, parameters: Mapping[str, np.ndarray]) -> None:
        self.graph, self.parameters = graph, parameters
        self.file = TfliteFile()
        self.done: set[str] = set()
        """Nodes that are part of an operator that is written."""
        images = {name for name, given in graph.inputs.items() if len(given.shape) == _IMAGE_RANK}
        self.last = layout.channels_last(graph) | images
        self._places: dict[tuple[str, bool], int] = {}
        self._inputs = [self._place(name, name in self.last) for name in graph.inputs]

    def content(self) -> bytes:
        """Return the file's content."""
        return self.file.content(self._inputs, [self._places[name, name in self.last] for name in self.graph.outputs])

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a value as it lies."""
        return layout.lying(self.graph.shape(name), last=name in self.last)

    def _place(self, name: str, last: bool) -> int:
        key = (name, last)
        if key not in self._places:
            self._places[key] = self.file.tensor(name, layout.lying(self.graph.shape(name), last=last))
        return self._places[key]

    def made(self, node: Node) -> int:
        """Return the tensor of what a node gives."""
        return self._place(node.name, node.name in self.last)

    def alias(self, node: Node, place: int) -> None:
        """Let what a node gives be a tensor that is there."""
        self._places[node.name, node.name in self.last] = place

    def part(self, node: Node, name: str) -> int:
        """Return a new tensor for what an operation computes on its way, of the shape of what it gives."""
        return self.file.tensor(f"{node.name}/{name}", self.shape(node.name))

    def read(self, name: str, *, last: bool) -> int:
        """Return the tensor of a computed value in a layout, turned if it lies in the other."""
        last = last and len(self.graph.shape(name)) == _IMAGE_RANK
        if (name, last) not in self._places:
            source = self._places[name, not last]
            axes = _LAST if last else [_LAST.index(axis) for axis in range(_IMAGE_RANK)]
            self.transpose(source, axes, self._place(name, last), name)
        return self._places[name, last]

    def operand(self, name: str, node: Node) -> int:
        """Return the tensor of what an elementwise node reads, in the layout of what it gives."""
        last, rank = node.name in self.last, len(node.shape)
        if name in self.parameters:
            numbers = self.parameters[name]
            numbers = numbers.reshape((1,) * (rank - numbers.ndim) + numbers.shape)
            return self.file.constant(name, numbers.transpose(_LAST) if last else numbers)
        if last and len(self.graph.shape(name)) != _IMAGE_RANK:
            raise TfliteError(f"node {node.name!r} reads {name!r}, which is no image, beside an image")
        return self.read(name, last=last)

    def transpose(self, source: int, axes: Sequence[int], place: int, name: str) -> None:
        """Add a transpose."""
        turned = self.file.whole(f"{name}/axes", axes)
        self.file.operator(CODES.TRANSPOSE, [source, turned], place, schema.TransposeOptionsT())

    def fuse(self, node: Node) -> tuple[int, int]:
        """Return the activation that a node's operator does as well, and the tensor that it gives then."""
        user = self.graph.only_user(node.name)
        fused = FUSED.NONE if user is None or node.op not in _FUSES else activation(user)
        if user is None or fused == FUSED.NONE:
            return FUSED.NONE, self.made(node)
        self.done.add(user.name)
        return fused, self.made(user)


_Form = Callable[[_Writer, Node], None]


def activation(node: Node) -> int:
    """Return the activation that another operator can do as well; NONE if a node is none of them."""
    known = {"relu": (0, math.inf), "relu6": (0, 6)}
    bounds = known.get(node.op) or (node.attributes.get("low"), node.attributes.get("high"))
    fused: dict[Any, int] = {(0, 6): FUSED.RELU6, (0, math.inf): FUSED.RELU, (-1, 1): FUSED.RELU_N1_TO_1}
    none: int = FUSED.NONE
    return fused.get(bounds, none)


# -------------------------------------------------------------------------------- convolutions, fully connected, pools
def _same(writer: _Writer, node: Node, kernel: Sequence[int], dilation: Sequence[int] = (1, 1)) -> bool:
    """Return whether a node's padding is what LiteRT calls SAME."""
    given = zip(writer.graph.shape(node.inputs[0])[2:], kernel, node.attributes["strides"], dilation, strict=True)
    widths = [
        max((-(-side // stride) - 1) * stride + (taps - 1) * apart + 1 - side, 0) for side, taps, stride, apart in given
    ]
    before = [width // 2 for width in widths]
    after = [width - width // 2 for width in widths]
    return tuple(node.attributes["padding"]) == (*before, *after)


def _padded(writer: _Writer, node: Node) -> int:
    """Return the image that a node reads, with zeros around it where its padding wants them."""
    image = writer.read(node.inputs[0], last=True)
    if not any(node.attributes["padding"]):
        return image
    top, left, bottom, right = node.attributes["padding"]
    batch, height, width, channels = layout.lying(writer.graph.shape(node.inputs[0]), last=True)
    shape = (batch, height + top + bottom, width + left + right, channels)
    place = writer.file.tensor(f"{node.name}/padded", shape)
    widths = writer.file.whole(f"{node.name}/widths", [(0, 0), (top, bottom), (left, right), (0, 0)])
    writer.file.operator(CODES.PAD, [image, widths], place, schema.PadOptionsT())
    return place


def _weighted(write: Callable[[_Writer, Node, int, int, float], None]) -> _Form:
    """Return the form of an operation with weights: `write` takes the activation, the output, and what its bias gains.

    relu6(x + 3) / 6 after it begins in its bias and its activation.
    """

    def form(writer: _Writer, node: Node) -> None:
        user = writer.graph.only_user(node.name)
        if user is None or user.op != "hard_sigmoid":
            write(writer, node, *writer.fuse(node), 0.0)
            return
        writer.done.add(user.name)
        risen = writer.part(user, "risen")
        write(writer, node, FUSED.RELU6, risen, 3.0)
        _sixth(writer, user, risen)

    return form


def _conv2d(writer: _Writer, node: Node, activation: int, place: int, shift: float) -> None:
    known, weight = node.attributes, writer.parameters[node.inputs[1]]
    is_same = _same(writer, node, weight.shape[2:], known["dilation"])
    image = writer.read(node.inputs[0], last=True) if is_same else _padded(writer, node)
    channels = writer.graph.shape(node.inputs[0])[1]
    common = {
        "padding": schema.Padding.SAME if is_same else schema.Padding.VALID,
        "strideH": known["strides"][0],
        "strideW": known["strides"][1],
        "dilationHFactor": known["dilation"][0],
        "dilationWFactor": known["dilation"][1],
        "fusedActivationFunction": activation,
    }
    if known["groups"] == channels and channels > 1:
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=weight.shape[0] // channels, **common)
        code, axes = CODES.DEPTHWISE_CONV_2D, (1, 2, 3, 0)
    else:
        options = schema.Conv2DOptionsT(**common)
        code, axes = CODES.CONV_2D, (0, 2, 3, 1)
    weights = writer.file.constant(node.inputs[1], weight.transpose(axes))
    writer.file.operator(code, [image, weights, _bias(writer, node, shift)], place, options)


def _linear(writer: _Writer, node: Node, activation: int, place: int, shift: float) -> None:
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=activation, keepNumDims=True)
    weights = writer.file.constant(node.inputs[1], writer.parameters[node.inputs[1]])
    inputs = [writer.read(node.inputs[0], last=False), weights, _bias(writer, node, shift)]
    writer.file.operator(CODES.FULLY_CONNECTED, inputs, place, options)


def _bias(writer: _Writer, node: Node, shift: float) -> int:
    _, weight, *bias = node.inputs
    given = writer.parameters[bias[0]] if bias else np.zeros(len(writer.parameters[weight]), np.float32)
    return writer.file.constant(f"{node.name}/bias", given + np.float32(shift))


def pool_options(node: Node, *, is_same: bool) -> schema.Pool2DOptionsT:
    """Return what LiteRT is told of a pool; `is_same`: its padding is LiteRT's SAME, else it has none."""
    known = node.attributes
    return schema.Pool2DOptionsT(
        padding=schema.Padding.SAME if is_same else schema.Padding.VALID,
        strideH=known["strides"][0],
        strideW=known["strides"][1],
        filterHeight=known["kernel"][0],
        filterWidth=known["kernel"][1],
    )


def _pool(writer: _Writer, node: Node) -> None:
    """Write a pool. LiteRT's SAME leaves the padding out; an average that counts it gets zeros around its image."""
    known, average = node.attributes, node.op == "avg_pool2d"
    counts = average and bool(known.get("count_include_pad", True))
    is_same = _same(writer, node, known["kernel"]) and not (counts and any(known["padding"]))
    if any(known["padding"]) and not (counts or is_same):
        raise TfliteError(f"node {node.name!r} pools with padding {tuple(known['padding'])}; LiteRT has SAME or none")
    options = pool_options(node, is_same=is_same)
    image = writer.read(node.inputs[0], last=True) if is_same else _padded(writer, node)
    writer.file.operator(CODES.AVERAGE_POOL_2D if average else CODES.MAX_POOL_2D, [image], writer.made(node), options)


def _global_avg_pool(writer: _Writer, node: Node) -> None:
    axes = writer.file.whole(f"{node.name}/axes", _SPATIAL)
    inputs = [writer.read(node.inputs[0], last=True), axes]
    writer.file.operator(CODES.MEAN, inputs, writer.made(node), schema.ReducerOptionsT(keepDims=True))


# --------------------------------------------------------------------------------------------------- element by element
def _binary(code: int, options: Callable[..., Any]) -> _Form:
    """Return the form of an operation on two values; `options` takes a fused activation where the operation has one."""

    def write(writer: _Writer, node: Node) -> None:
        activation, place = writer.fuse(node)
        given = options(fusedActivationFunction=activation) if node.op in _FUSES else options()
        writer.file.operator(code, [writer.operand(name, node) for name in node.inputs], place, given)

    return write


def _unary(code: int, options: Callable[[], Any] = lambda: None) -> _Form:
    return lambda writer, node: writer.file.operator(
        code, [writer.operand(node.inputs[0], node)], writer.made(node), options()
    )


def _clip(writer: _Writer, node: Node) -> None:
    """Write a clip that nothing before it does as well: a maximum and a minimum."""
    x, options = writer.operand(node.inputs[0], node), schema.MaximumMinimumOptionsT()
    low, high = float(node.attributes["low"]), float(node.attributes["high"])
    if not math.isinf(low):
        place = writer.made(node) if math.isinf(high) else writer.part(node, "low")
        writer.file.operator(CODES.MAXIMUM, [x, writer.file.number(f"{node.name}/least", low)], place, options)
        x = place
    if not math.isinf(high):
        most = writer.file.number(f"{node.name}/most", high)
        writer.file.operator(CODES.MINIMUM, [x, most], writer.made(node), options)


def _scale(writer: _Writer, node: Node) -> None:
    factor = writer.file.number(f"{node.name}/factor", node.attributes["factor"])
    inputs = [writer.operand(node.inputs[0], node), factor]
    writer.file.operator(CODES.MUL, inputs, writer.made(node), schema.MulOptionsT())


def _silu(writer: _Writer, node: Node) -> None:
    x, gate = writer.operand(node.inputs[0], node), writer.part(node, "gate")
    writer.file.operator(CODES.LOGISTIC, [x], gate)
    writer.file.operator(CODES.MUL, [x, gate], writer.made(node), schema.MulOptionsT())


def _hard_sigmoid(writer: _Writer, node: Node) -> None:
    """Write relu6(x + 3) / 6; LiteRT has no operator for it."""
    risen, three = writer.part(node, "risen"), writer.file.number(f"{node.name}/three", 3)
    options = schema.AddOptionsT(fusedActivationFunction=FUSED.RELU6)
    writer.file.operator(CODES.ADD, [writer.operand(node.inputs[0], node), three], risen, options)
    _sixth(writer, node, risen)


def _sixth(writer: _Writer, node: Node, risen: int) -> None:
    sixth = writer.file.number(f"{node.name}/sixth", 1 / 6)
    writer.file.operator(CODES.MUL, [risen, sixth], writer.made(node), schema.MulOptionsT())


# -------------------------------------------------------------------------------------------------- shapes and matrices
def _reshape(writer: _Writer, node: Node) -> None:
    """Write a reshape; where it moves numbers as they lie, with a transpose before or after it."""
    name, place = node.inputs[0], writer.made(node)
    stays = layout.is_view(writer.graph, node, writer.last)
    x = writer.read(name, last=name in writer.last and stays)
    turns = node.name in writer.last and not stays
    shape = node.shape if turns else writer.shape(node.name)
    flat = writer.file.tensor(f"{node.name}/flat", shape) if turns else place
    inputs = [x, writer.file.whole(f"{node.name}/shape", shape)]
    writer.file.operator(CODES.RESHAPE, inputs, flat, schema.ReshapeOptionsT(newShape=list(shape)))
    if turns:
        writer.transpose(flat, _LAST, place, node.name)


def _permute(writer: _Writer, node: Node) -> None:
    """Write one transpose, from how the input lies to how the output has to; none where nothing moves."""
    name, plain = node.inputs[0], tuple(range(len(node.shape)))
    lies = _LAST if name in writer.last else plain
    wanted = _LAST if node.name in writer.last else plain
    axes = tuple(lies.index(node.attributes["axes"][axis]) for axis in wanted)
    source = writer.read(name, last=name in writer.last)
    if axes == plain:
        writer.alias(node, source)
    else:
        writer.transpose(source, axes, writer.made(node), node.name)


def _matmul(writer: _Writer, node: Node) -> None:
    inputs = [writer.operand(name, node) for name in node.inputs]
    writer.file.operator(CODES.BATCH_MATMUL, inputs, writer.made(node), schema.BatchMatMulOptionsT())


def _softmax(writer: _Writer, node: Node) -> None:
    if node.attributes["axis"] % len(node.shape) != len(node.shape) - 1:
        raise TfliteError(f"node {node.name!r}: LiteRT's softmax is over the last axis")
    x = writer.read(node.inputs[0], last=False)
    writer.file.operator(CODES.SOFTMAX, [x], writer.made(node), schema.SoftmaxOptionsT(beta=1.0))


def _concat(writer: _Writer, node: Node) -> None:
    axis = node.attributes["axis"] % len(node.shape)
    options = schema.ConcatenationOptionsT(axis=_LAST.index(axis) if node.name in writer.last else axis)
    inputs = [writer.operand(name, node) for name in node.inputs]
    writer.file.operator(CODES.CONCATENATION, inputs, writer.made(node), options)


_OPERATIONS: dict[str, _Form] = {
    "conv2d": _weighted(_conv2d),
    "linear": _weighted(_linear),
    "matmul": _matmul,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "global_avg_pool": _global_avg_pool,
    "softmax": _softmax,
    "reshape": _reshape,
    "permute": _permute,
    "concat": _concat,
    "add": _binary(CODES.ADD, schema.AddOptionsT),
    "subtract": _binary(CODES.SUB, schema.SubOptionsT),
    "multiply": _binary(CODES.MUL, schema.MulOptionsT),
    "divide": _binary(CODES.DIV, schema.DivOptionsT),
    "maximum": _binary(CODES.MAXIMUM, schema.MaximumMinimumOptionsT),
    "minimum": _binary(CODES.MINIMUM, schema.MaximumMinimumOptionsT),
    "scale": _scale,
    "clip": _clip,
    "relu": _unary(CODES.RELU),
    "relu6": _unary(CODES.RELU6),
    "hard_swish": _unary(CODES.HARD_SWISH, schema.HardSwishOptionsT),
    "hard_sigmoid": _hard_sigmoid,
    "sigmoid": _unary(CODES.LOGISTIC),
    "silu": _silu,
    "gelu": _unary(CODES.GELU, schema.GeluOptionsT),
    "gelu_tanh": _unary(CODES.GELU, lambda: schema.GeluOptionsT(approximate=True)),
    "tanh": _unary(CODES.TANH),
}
