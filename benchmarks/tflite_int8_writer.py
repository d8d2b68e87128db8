"""A quantised network as a .tflite file in int8, for LiteRT: the same roundings, scales and whole numbers.

Written as XNNPACK takes it best. Images lie channels last and are mirrored, top to bottom and left to right: what
PyTorch pads of a stride of 2, before the image, is then behind it, which is LiteRT's padding SAME, and needs no
operator of its own. `as_given` turns an input over. uint8 becomes int8, 128 less; a uint8 network's bytes are the same.

XNNPACK has no hard swish of 8 bits: it is a sum, relu6(x + 3), and a product. The sixth of that is left out, so that
its tensor stands for 6 times as much; weights of the convolution that reads it, or what is made of it, are a sixth.
Where it is added to something, a product with a sixth follows.

Other than in the network, a hard sigmoid becomes a part of the convolution before it, and the last layer is rounded:
LiteRT has no sums that become floats.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_file import CODES, FUSED, Grid, TfliteFile
from tflite_writer import TfliteError, activation, pool_options

from mbench.networks import integer_forms, layout, quantization
from mbench.networks.graph import Node
from mbench.networks.integer_graph import QdqNetwork
from mbench.networks.quantization import Quantization, ValueRange

_IMAGE_RANK = 4
_MIDDLE = 128
"""What uint8 has more than int8 at the same place."""
_SPATIAL = (1, 2)
_RISE, _SIX, _SHARE = 3.0, 6.0, 1 / 6
"""A hard sigmoid is relu6(x + 3) / 6."""
_MOST = 127
Pad = tuple[int, int]
"""What stands before an image and what behind it."""
_FUSES = ("conv2d", "linear", "add", "multiply")


def model(network: QdqNetwork, ranges: Mapping[str, ValueRange]) -> bytes:
    """Return the file of a network with roundings, such as `QuantizedNetwork.qdq`.

    Args:
        network: with residuals rounded before they are added: LiteRT adds values of 8 bits.
        ranges: of what the network gives and does not round, as `calibration.ranges` has them.

    Raises:
        TfliteError: there is no form for an operation, or one is computed on floats.
    """
    writer = _Int8Writer(network, ranges)
    for node in network.graph.nodes:
        if node.name in writer.done or node.op == "dequantize":
            continue
        if node.op not in _FORMS:
            raise TfliteError(f"operation {node.op!r} of node {node.name!r} has no form in LiteRT's int8 here")
        _FORMS[node.op](writer, node)
    return writer.content()


def as_given(image: np.ndarray) -> np.ndarray:
    """Return an image (N, C, H, W) as a file of this writer takes it."""
    return np.ascontiguousarray(image.transpose(0, 2, 3, 1)[:, ::-1, ::-1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _End:
    """Where an operator's result is rounded: the tensor, and what is done on the way."""

    place: int
    activation: int = FUSED.NONE
    gates: bool = False
    """Whether a hard sigmoid is."""


class _Int8Writer:
    """A network on its way into a file."""

    def __init__(self, network: QdqNetwork, ranges: Mapping[str, ValueRange]) -> None:
        self.graph, self.parameters, self.scales = network.graph, network.parameters, network.scales
        self.file = TfliteFile()
        self.done: set[str] = set()
        """Nodes that are part of an operator that is written."""
        self._ranges = ranges
        self._places: dict[str, int] = {}
        self._factors: dict[str, float] = {}
        """Values of 8 bits whose tensors stand for so many times as much."""
        self._inputs = [self._float(name) for name in self.graph.inputs]
        self._outputs: dict[str, int] = {}

    def content(self) -> bytes:
        """Return the file's content."""
        return self.file.content(self._inputs, [self._output(name) for name in self.graph.outputs])

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self.graph.shape(name)
        return layout.lying(shape, last=len(shape) == _IMAGE_RANK)

    def _float(self, name: str) -> int:
        self._places[name] = self.file.tensor(name, self._shape(name))
        return self._places[name]

    def _output(self, name: str) -> int:
        """Return the tensor of an output, which becomes floats here."""
        if len(self.graph.shape(name)) == _IMAGE_RANK:
            raise TfliteError(f"output {name!r} is an image, which lies mirrored here")
        if name not in self._outputs and self.factor(name) != 1:
            raise TfliteError(f"output {name!r} is a hard swish, which has another scale here")
        whole = self._outputs[name] if name in self._outputs else self.read(name)
        made = self.file.tensor(f"{name}/float", self._shape(name))
        self.file.operator(CODES.DEQUANTIZE, [whole], made, schema.DequantizeOptionsT())
        return made

    def known(self, name: str) -> Quantization:
        """Return what the numbers stand for that a node reads.

        Raises:
            TfliteError: they are floats.
        """
        node = self.graph.by_name.get(name)
        if node is None or node.op != "dequantize":
            raise TfliteError(f"value {name!r} is read as floats; LiteRT's operators here read int8")
        return quantization.of_attributes(node.attributes, self.graph.type_of(node.inputs[0]).dtype)

    def read(self, name: str) -> int:
        """Return the tensor of an operand.

        Raises:
            TfliteError: it is none of 8 bits.
        """
        self.known(name)
        return self._places[self.graph.by_name[name].inputs[0]]

    def factor(self, name: str) -> float:
        """Return how many times as much the tensor of an operand stands for."""
        return self._factors.get(self.graph.by_name[name].inputs[0], 1.0)

    def rounded(self, node: Node, factor: float = 1.0) -> int:
        """Return the tensor of a `quantize`, which stands for so many times as much."""
        known = quantization.of_attributes(node.attributes, node.dtype)
        self._places[node.name] = self.file.tensor(node.name, self._shape(node.name), _grid(known, factor))
        self._factors[node.name] = factor
        self.done.add(node.name)
        return self._places[node.name]

    def is_added(self, node: Node) -> bool:
        """Return whether a sum reads what is rounded of a node's result."""
        users = [user for rounded in self.graph.users[node.name] for user in self.graph.users[rounded.name]]
        return any(reader.op == "add" for user in users for reader in self.graph.users[user.name])

    def part(self, node: Node, name: str, grid: Grid) -> int:
        """Return a new tensor for what a node computes on its way, of the shape of what it gives."""
        return self.file.tensor(f"{node.name}/{name}", self._shape(node.name), grid)

    def source(self, node: Node) -> int:
        """Return the tensor that a `quantize` rounds: of floats, or of 8 bits."""
        name = node.inputs[0]
        return self._places[name] if name in self.graph.inputs else self.read(name)

    def end(self, node: Node, factor: float = 1.0) -> _End:
        """Return where a node's result is rounded, which may stand for so many times as much.

        Raises:
            TfliteError: it is read as floats.
        """
        user, fused = self.graph.only_user(node.name), FUSED.NONE
        if user is not None and user.op in integer_forms.CLAMPS and node.op in _FUSES:
            fused = self._fused(user)
            self.done.add(user.name)
            node, user = user, self.graph.only_user(user.name)
        if user is not None and user.op == "quantize":
            gate = self._gate(user) if node.op in ("conv2d", "linear") else None
            if gate is None:
                return _End(place=self.rounded(user, factor), activation=fused)
            return _End(place=self.rounded(gate), gates=True)
        if node.name not in self.graph.outputs or self.graph.users[node.name]:
            raise TfliteError(f"value {node.name!r} is read as floats; LiteRT's operators here make int8")
        grid = _grid(quantization.of_range(self._ranges[node.name]))
        self._outputs[node.name] = self.file.tensor(node.name, self._shape(node.name), grid)
        return _End(place=self._outputs[node.name], activation=fused)

    def _fused(self, clamp: Node) -> int:
        """Return the fused activation of a clamp.

        Raises:
            TfliteError: there is none.
        """
        found = activation(clamp)
        rounded = self.graph.only_user(clamp.name)
        if found == FUSED.NONE and rounded is not None and rounded.op == "quantize":
            known = quantization.of_attributes(rounded.attributes, rounded.dtype)
            if tuple(map(known.whole, integer_forms.bounds(clamp))) != known.limits:
                raise TfliteError(f"node {clamp.name!r} clamps to bounds that no operator of LiteRT's has")
        return found

    def _gate(self, rounded: Node) -> Node | None:
        """Return the `quantize` behind a hard sigmoid that alone reads what is rounded; None where there is none."""
        nodes = [rounded]
        for op in ("dequantize", "hard_sigmoid", "quantize"):
            user = self.graph.only_user(nodes[-1].name)
            if user is None or user.op != op:
                return None
            nodes.append(user)
        self.done.update(node.name for node in nodes)
        return nodes[-1]


def _grid(known: Quantization, factor: float = 1.0) -> Grid:
    shift = _MIDDLE if known.dtype == "uint8" else 0
    return Grid(scales=[known.scale * factor], zero_point=known.zero_point - shift)


# ------------------------------------------------------------------------------------------------------------ roundings
def _quantize(writer: _Int8Writer, node: Node) -> None:
    """Write the rounding of an input, or of a value on another grid."""
    source = writer.source(node)
    writer.file.operator(CODES.QUANTIZE, [source], writer.rounded(node), schema.QuantizeOptionsT())


# -------------------------------------------------------------------------------- convolutions, fully connected, pools
def _padding(writer: _Int8Writer, node: Node, kernel: Sequence[int], dilation: Sequence[int] = (1, 1)) -> list[Pad]:
    """Return what stands before and behind an image, down and right, as it lies mirrored.

    Raises:
        TfliteError: lines are left unread, which would be others when it is mirrored.
    """
    known, sides = node.attributes, writer.graph.shape(node.inputs[0])[2:]
    found = []
    given = zip(sides, node.shape[2:], kernel, known["strides"], dilation, known["padding"][:2], strict=True)
    for side, out, taps, stride, apart, before in given:
        behind = (out - 1) * stride + (taps - 1) * apart + 1 - before - side
        if behind < 0:
            raise TfliteError(f"node {node.name!r} leaves {-behind} lines of its image unread")
        found.append((behind, before))
    return found


def _is_same(writer: _Int8Writer, node: Node, padding: list[Pad]) -> bool:
    """Return whether LiteRT pads so of its own: half of the width before, rounded down, and the rest behind."""
    sides = zip(writer.graph.shape(node.inputs[0])[2:], node.shape[2:], node.attributes["strides"], strict=True)
    halves = all(before == (before + behind) // 2 for before, behind in padding)
    return halves and all(out == -(-side // stride) for side, out, stride in sides)


def _image(writer: _Int8Writer, node: Node, kernel: Sequence[int], dilation: Sequence[int]) -> tuple[int, int]:
    """Return the image that a node reads and its padding in LiteRT; what is not SAME is padded before."""
    image, padding = writer.read(node.inputs[0]), _padding(writer, node, kernel, dilation)
    if not any(before or behind for before, behind in padding):
        return image, schema.Padding.VALID
    if _is_same(writer, node, padding):
        return image, schema.Padding.SAME
    batch, *sides, channels = layout.lying(writer.graph.shape(node.inputs[0]), last=True)
    padded = [side + sum(widths) for side, widths in zip(sides, padding, strict=True)]
    grid = _grid(writer.known(node.inputs[0]), writer.factor(node.inputs[0]))
    place = writer.file.tensor(f"{node.name}/padded", (batch, *padded, channels), grid)
    widths = writer.file.whole(f"{node.name}/widths", [(0, 0), *padding, (0, 0)])
    writer.file.operator(CODES.PAD, [image, widths], place, schema.PadOptionsT())
    return place, schema.Padding.VALID


def _weights(writer: _Int8Writer, node: Node, axes: Sequence[int], axis: int, *, gates: bool) -> tuple[int, int]:
    """Return the tensors of a node's weights, turned and mirrored, and of its bias.

    Args:
        writer: of the file.
        node: a convolution or a fully connected layer.
        axes: the weights' in the order of the file.
        axis: that of the output channels there.
        gates: whether a hard sigmoid follows, which is a sixth of the weights and of the bias, with 3 added before.

    Raises:
        TfliteError: the weights are floats.
    """
    name, *bias = node.inputs[1:]
    if name not in writer.scales:
        raise TfliteError(f"weights {name!r} of node {node.name!r} are floats")
    weight, scales = writer.parameters[name], writer.scales[name].astype(np.float64)
    scales = np.broadcast_to(scales, len(weight)) * (_SHARE if gates else 1.0)
    whole = quantization.whole_weights(weight, writer.scales[name]).astype(np.int8)
    if whole.ndim == _IMAGE_RANK:
        whole = whole[:, :, ::-1, ::-1]
    numbers = writer.parameters[bias[0]] if bias else np.zeros(len(weight), np.float32)
    numbers = (numbers + _RISE) * _SHARE if gates else numbers
    unit = scales * writer.known(node.inputs[0]).scale
    scales = scales / writer.factor(node.inputs[0])
    sums = quantization.whole_bias(numbers, unit).astype(np.int32)
    return (
        writer.file.on_grid(f"{node.name}/weight", whole.transpose(axes), Grid(scales=scales.tolist(), axis=axis)),
        writer.file.on_grid(f"{node.name}/bias", sums, Grid(scales=unit.tolist())),
    )


def _conv2d(writer: _Int8Writer, node: Node) -> None:
    known, shape = node.attributes, writer.graph.shape(node.inputs[1])
    image, padding = _image(writer, node, shape[2:], known["dilation"])
    end = writer.end(node)
    channels = writer.graph.shape(node.inputs[0])[1]
    common = {
        "padding": padding,
        "strideH": known["strides"][0],
        "strideW": known["strides"][1],
        "dilationHFactor": known["dilation"][0],
        "dilationWFactor": known["dilation"][1],
        "fusedActivationFunction": end.activation,
    }
    if known["groups"] == channels and channels > 1:
        options = schema.DepthwiseConv2DOptionsT(depthMultiplier=shape[0] // channels, **common)
        code, axes, axis = CODES.DEPTHWISE_CONV_2D, (1, 2, 3, 0), 3
    elif known["groups"] == 1:
        options = schema.Conv2DOptionsT(**common)
        code, axes, axis = CODES.CONV_2D, (0, 2, 3, 1), 0
    else:
        raise TfliteError(f"node {node.name!r} has {known['groups']} groups of several channels")
    weights = _weights(writer, node, axes, axis, gates=end.gates)
    writer.file.operator(code, [image, *weights], end.place, options)


def _linear(writer: _Int8Writer, node: Node) -> None:
    x, end = writer.read(node.inputs[0]), writer.end(node)
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=end.activation, keepNumDims=True)
    weights = _weights(writer, node, (0, 1), 0, gates=end.gates)
    writer.file.operator(CODES.FULLY_CONNECTED, [x, *weights], end.place, options)


def _pool(writer: _Int8Writer, node: Node) -> None:
    known, average = node.attributes, node.op == "avg_pool2d"
    padding = _padding(writer, node, known["kernel"])
    is_same = any(map(any, padding))
    if is_same and (average or not _is_same(writer, node, padding)):
        raise TfliteError(f"node {node.name!r} pools with padding {tuple(known['padding'])}; LiteRT has SAME or none")
    options = pool_options(node, is_same=is_same)
    code = CODES.AVERAGE_POOL_2D if average else CODES.MAX_POOL_2D
    end = writer.end(node, writer.factor(node.inputs[0]))
    writer.file.operator(code, [writer.read(node.inputs[0])], end.place, options)


def _global_avg_pool(writer: _Int8Writer, node: Node) -> None:
    inputs = [writer.read(node.inputs[0]), writer.file.whole(f"{node.name}/axes", _SPATIAL)]
    end = writer.end(node, writer.factor(node.inputs[0]))
    writer.file.operator(CODES.MEAN, inputs, end.place, schema.ReducerOptionsT(keepDims=True))


# --------------------------------------------------------------------------------------------------- element by element
def _add(writer: _Int8Writer, node: Node) -> None:
    if {writer.factor(name) for name in node.inputs} != {1.0}:
        raise TfliteError(f"node {node.name!r} adds a hard swish, which has another scale here")
    inputs, end = [writer.read(name) for name in node.inputs], writer.end(node)
    writer.file.operator(CODES.ADD, inputs, end.place, schema.AddOptionsT(fusedActivationFunction=end.activation))


def _multiply(writer: _Int8Writer, node: Node) -> None:
    inputs = [writer.read(name) for name in node.inputs]
    end = writer.end(node, math.prod(map(writer.factor, node.inputs)))
    writer.file.operator(CODES.MUL, inputs, end.place, schema.MulOptionsT(fusedActivationFunction=end.activation))


def _hard_swish(writer: _Int8Writer, node: Node) -> None:
    """Write x relu6(x + 3), 6 times a hard swish."""
    if writer.factor(node.inputs[0]) != 1:
        raise TfliteError(f"node {node.name!r} reads a hard swish, which has another scale here")
    x = writer.read(node.inputs[0])
    grid = Grid(scales=[_RISE / _MOST])
    three = writer.file.on_grid(f"{node.name}/three", np.full((1,) * len(node.shape), _MOST, np.int8), grid)
    risen = writer.part(node, "risen", Grid(scales=[_SIX / (2 * _MIDDLE - 1)], zero_point=-_MIDDLE))
    options = schema.AddOptionsT(fusedActivationFunction=FUSED.RELU6)
    writer.file.operator(CODES.ADD, [x, three], risen, options)
    if not writer.is_added(node):
        writer.file.operator(CODES.MUL, [x, risen], writer.end(node, _SIX).place, schema.MulOptionsT())
        return
    end, rounded = writer.end(node), writer.graph.users[node.name][0]
    known = quantization.of_attributes(rounded.attributes, rounded.dtype)
    product = writer.part(node, "product", _grid(known, _SIX))
    writer.file.operator(CODES.MUL, [x, risen], product, schema.MulOptionsT())
    sixth = writer.file.on_grid(
        f"{node.name}/sixth", np.full((1,) * len(node.shape), _MOST, np.int8), Grid(scales=[_SHARE / _MOST])
    )
    writer.file.operator(CODES.MUL, [product, sixth], end.place, schema.MulOptionsT())


def _unary(code: int) -> Callable[[_Int8Writer, Node], None]:
    return lambda writer, node: writer.file.operator(
        code, [writer.read(node.inputs[0])], writer.end(node, writer.factor(node.inputs[0])).place
    )


def _reshape(writer: _Int8Writer, node: Node) -> None:
    """Write a reshape that moves nothing however images lie."""
    before = writer.graph.shape(node.inputs[0])
    if any(len(shape) == _IMAGE_RANK and shape[2:] != (1, 1) for shape in (before, node.shape)):
        raise TfliteError(f"node {node.name!r} reshapes an image, which lies channels last here")
    inputs = [writer.read(node.inputs[0]), writer.file.whole(f"{node.name}/shape", node.shape)]
    options = schema.ReshapeOptionsT(newShape=list(node.shape))
    end = writer.end(node, writer.factor(node.inputs[0]))
    writer.file.operator(CODES.RESHAPE, inputs, end.place, options)


_FORMS: dict[str, Callable[[_Int8Writer, Node], None]] = {
    "quantize": _quantize,
    "conv2d": _conv2d,
    "linear": _linear,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "global_avg_pool": _global_avg_pool,
    "add": _add,
    "multiply": _multiply,
    "reshape": _reshape,
    "hard_swish": _hard_swish,
    "relu": _unary(CODES.RELU),
}
