"""A quantised network as an ONNX file with QuantizeLinear and DequantizeLinear (QDQ): what peers run in 8 bits.

The file has the same roundings as mbench's network on whole numbers, at the same scales and zero points, and the same
whole numbers as weights and biases.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_writer
from onnx_writer import OPERATIONS, OnnxForm, OnnxWriter

from mbench.networks import quantization
from mbench.networks.graph import Node
from mbench.networks.integer_graph import QdqNetwork

_MATRIX_RANK = 2


def model(network: QdqNetwork) -> onnx.ModelProto:
    """Return the model of a network with roundings, such as `QuantizedNetwork.qdq`.

    Raises:
        OnnxError: there is no form for an operation or a type.
    """
    return onnx_writer.assembled(_QdqWriter(network), _FORMS)


class _QdqWriter(OnnxWriter):
    """Writes weights and biases as whole numbers before a DequantizeLinear."""

    def __init__(self, network: QdqNetwork) -> None:
        super().__init__(network.graph, network.parameters)
        self._scales = network.scales
        self._made: set[str] = set()

    def weights(self, node: Node) -> tuple[str, ...]:
        """Return the names of a node's weights and bias, whole numbers where the network has them so."""
        weight, *bias = node.inputs[1:]
        source = self.graph.by_name.get(node.inputs[0])
        scales = self._scales.get(weight)
        if scales is None or source is None or source.op != "dequantize":
            return tuple(map(self.read, node.inputs[1:]))
        groups = node.attributes.get("groups", 1)
        first = quantization.channels_first(node.op, self.parameters[weight], groups)
        whole = quantization.as_stored(node.op, quantization.whole_weights(first, scales), groups)
        turned = node.op == "linear" and len(node.shape) != _MATRIX_RANK
        axis = 1 if node.op == "conv2d_transpose" or turned else 0
        stored = (whole.T if turned else whole).astype(quantization.WEIGHTS)
        found = [self.real(weight, stored, scales[: stored.shape[axis]], axis)]
        if bias:
            unit = scales.astype(np.float64) * source.attributes["scale"]
            numbers = quantization.whole_bias(self.parameters[bias[0]], unit).astype(quantization.SUMS)
            found.append(self.real(f"{node.name}/{bias[0]}", numbers, unit.astype(np.float32), 0))
        return tuple(found)

    def real(self, name: str, whole: np.ndarray, scales: np.ndarray, axis: int) -> str:
        """Write whole numbers as floats, once for each name."""
        real = f"{name}/real"
        if real not in self._made:
            self._made.add(real)
            zeros = np.zeros(scales.shape, whole.dtype)
            read = [self.constant(f"{name}/{part}", array) for part, array in
                    (("whole", whole), ("scale", scales), ("zero", zeros))]  # fmt: skip
            self.nodes.append(onnx.helper.make_node("DequantizeLinear", read, [real], name=real, axis=axis))
        return real


def _scale_and_zero(writer: OnnxWriter, node: Node, dtype: str) -> tuple[str, str]:
    known = node.attributes
    return (
        writer.constant(f"{node.name}/scale", np.array(known["scale"], np.float32)),
        writer.constant(f"{node.name}/zero", np.array(known["zero_point"], dtype)),
    )


def _quantize(writer: OnnxWriter, node: Node) -> None:
    scale, zero = _scale_and_zero(writer, node, node.dtype)
    writer.add("QuantizeLinear", node, writer.read(node.inputs[0]), scale, zero)


def _dequantize(writer: OnnxWriter, node: Node) -> None:
    scale, zero = _scale_and_zero(writer, node, writer.graph.type_of(node.inputs[0]).dtype)
    writer.add("DequantizeLinear", node, writer.read(node.inputs[0]), scale, zero)


def _convolution(writer: OnnxWriter, node: Node) -> None:
    assert isinstance(writer, _QdqWriter)
    known = node.attributes
    more = {"output_padding": known["output_padding"]} if node.op == "conv2d_transpose" else {}
    writer.add(
        "ConvTranspose" if more else "Conv", node, writer.read(node.inputs[0]), *writer.weights(node),
        kernel_shape=writer.graph.shape(node.inputs[1])[2:], strides=known["strides"], pads=known["padding"],
        dilations=known["dilation"], group=known["groups"], **more,
    )  # fmt: skip


def _linear(writer: OnnxWriter, node: Node) -> None:
    assert isinstance(writer, _QdqWriter)
    x, (weight, *bias) = writer.read(node.inputs[0]), writer.weights(node)
    if len(node.shape) == _MATRIX_RANK:
        writer.add("Gemm", node, x, weight, *bias, transB=1)
        return
    if weight == node.inputs[1]:  # on floats
        weight = writer.constant(f"{weight}/turned", writer.parameters[weight].T)
    product = writer.add("MatMul", node, x, weight, output="product" if bias else "")
    if bias:
        writer.add("Add", node, product, bias[0])


def _pad(writer: OnnxWriter, node: Node) -> None:
    widths = np.array(node.attributes["widths"], np.int64).T.reshape(-1)
    read = [writer.read(node.inputs[0]), writer.constant(f"{node.name}/widths", widths)]
    value = writer.number(node, "value", node.attributes.get("value", 0.0))
    writer.add("Pad", node, *read, value, mode=node.attributes["mode"])


def _resize(writer: OnnxWriter, node: Node) -> None:
    known = node.attributes
    sizes = writer.constant(f"{node.name}/sizes", np.array(node.shape, np.int64))
    writer.add(
        "Resize", node, writer.read(node.inputs[0]), "", "", sizes, mode=known["mode"],
        coordinate_transformation_mode=known.get("coordinates", "half_pixel"),
        nearest_mode=known.get("rounding", "round_prefer_floor"),
    )  # fmt: skip


def _sloped(op: str) -> OnnxForm:
    return lambda writer, node: writer.add(op, node, writer.read(node.inputs[0]), alpha=node.attributes["alpha"])


def _prelu(writer: OnnxWriter, node: Node) -> None:
    writer.add("PRelu", node, *map(writer.read, node.inputs))


_FORMS: dict[str, OnnxForm] = {
    **OPERATIONS,
    "quantize": _quantize,
    "dequantize": _dequantize,
    "conv2d": _convolution,
    "conv2d_transpose": _convolution,
    "linear": _linear,
    "pad": _pad,
    "resize2d": _resize,
    "leaky_relu": _sloped("LeakyRelu"),
    "elu": _sloped("Elu"),
    "prelu": _prelu,
}
