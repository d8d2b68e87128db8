"""ONNX's QuantizeLinear and DequantizeLinear: values that a file rounds to 8 bits, and weights that it keeps so.

A file with them (QDQ) is first read as operations on floats with roundings between them, and then becomes the network
on whole numbers that it is. Weights become floats while they are read, which remember their scale.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from mbench.networks import exactness, integer_forms, integer_graph, layout, quantization
from mbench.networks.graph import Graph, Node
from mbench.networks.importers.graph_writer import GraphValue, LayerError, axis_of, constant
from mbench.networks.importers.onnx_layer import OnnxLayer, OnnxReading
from mbench.networks.importers.onnx_types import numpy_name
from mbench.networks.integer_graph import QdqNetwork
from mbench.networks.operation_shapes import axes_of
from mbench.networks.quantization import Quantization

_IMAGE_SIDES = (2, 3)
_WHOLE = ("int8", "uint8", "int16", "uint16")
_STATIC = "quantise it with onnxruntime.quantization.quantize_static, or give mbench the file from before quantisation"
_INSTEAD = "quantise the network with 8-bit activations, or give mbench the file from before quantisation"


def quantized(layer: OnnxLayer) -> GraphValue:
    """Write the rounding of a value to 8 bits; constants are rounded at once."""
    layer.refuse("block_size")
    scale, zero = _scale(layer)
    dtype = str(zero.dtype) if zero is not None else _output_type(layer)
    if layer.x.array is not None:
        if dtype not in _WHOLE:
            raise LayerError(f"constants that are rounded to {dtype}; mbench knows {', '.join(_WHOLE)}: {_INSTEAD}")
        known, fit = np.iinfo(dtype), _along(layer, scale)
        exact = np.rint(layer.x.array.astype(np.float64) / scale.astype(np.float64).reshape(fit))
        whole = np.clip(exact + _shift(zero, fit), known.min, known.max)
        return constant(whole.astype(dtype), layer.x.name)
    attributes = _quantization(scale, zero, dtype).attributes
    return layer.writer.add("quantize", layer.x, **attributes)


def _scale(layer: OnnxLayer) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the scale and the zero point of a rounding.

    Raises:
        LayerError: there is no scale, or it is computed as the network runs.
    """
    given = layer.value(1)
    if given.array is None:
        raise LayerError(
            "its scale is computed while the network runs (dynamic quantisation); mbench computes with scales that are "
            f"known before: {_STATIC}"
        )
    return given.array, layer.numbers(2)


def _output_type(layer: OnnxLayer) -> str:
    given = int(layer.attribute("output_dtype", 0))
    return numpy_name(given) if given else "uint8"


def dequantized(layer: OnnxLayer) -> GraphValue:
    """Write a value of 8 bits as floats; constants become floats that know what they were made of."""
    layer.refuse("block_size")
    scale, zero = _scale(layer)
    numbers = layer.x.array
    if numbers is None:
        known = _quantization(scale, zero, layer.x.dtype)
        return layer.writer.add("dequantize", layer.x, scale=known.scale, zero_point=known.zero_point)
    fit = _along(layer, scale)
    moved = numbers.astype(np.float64) - _shift(zero, fit)
    real = (moved * scale.astype(np.float64).reshape(fit)).astype(scale.dtype)
    return constant(real, layer.x.name, scales=scale.reshape(-1).astype(np.float32))


def _along(layer: OnnxLayer, scale: np.ndarray) -> tuple[int, ...]:
    """Return the shape in which a scale for each place along an axis fits a constant."""
    if scale.size == 1:
        return ()
    rank = layer.x.rank
    axis = axis_of(int(layer.attribute("axis", 1)), rank)
    if scale.size != layer.x.shape[axis]:
        raise LayerError(f"it has {scale.size} scales for an axis of {layer.x.shape[axis]}")
    return tuple(-1 if place == axis else 1 for place in range(rank))


def _shift(zero: np.ndarray | None, fit: tuple[int, ...]) -> np.ndarray:
    return np.zeros(()) if zero is None else zero.astype(np.float64).reshape(fit if zero.size > 1 else ())


def _quantization(scale: np.ndarray, zero: np.ndarray | None, dtype: str) -> Quantization:
    """Return how a value that is computed is rounded.

    Raises:
        LayerError: mbench computes with no such values.
    """
    if dtype not in quantization.DTYPES:
        raise LayerError(f"activations of {dtype}; mbench computes with those of 8 bits: {_INSTEAD}")
    if scale.size != 1:
        raise LayerError(f"activations with {scale.size} scales; mbench computes with one for each value: {_INSTEAD}")
    if scale.dtype != np.float32:
        raise LayerError(f"its scale is {scale.dtype}; expected float32")
    number = 0 if zero is None else int(zero.reshape(-1)[0])
    return Quantization(scale=float(scale.reshape(-1)[0]), zero_point=number, dtype=dtype)


def in_whole_numbers(
    graph: Graph, parameters: Mapping[str, np.ndarray], scales: Mapping[str, np.ndarray]
) -> tuple[Graph, Mapping[str, np.ndarray]]:
    """Return the network on whole numbers that a graph with roundings is, and its parameters; another as it is.

    Args:
        graph: as it was read.
        parameters: its numbers.
        scales: of parameters that the file keeps as whole numbers: one, or one for each place along an axis.
    """
    if not exactness.is_quantised(graph):
        return graph, parameters
    graph = _with_pools(graph)
    found: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        if node.op in integer_forms.WEIGHTED and node.inputs[1] in scales:
            known = by_channel(node, parameters[node.inputs[1]], scales[node.inputs[1]])
            if known is not None:
                found[node.inputs[1]] = known
    whole = integer_graph.lowered(QdqNetwork(graph=graph, parameters=parameters, scales=found))
    return whole.graph, whole.parameters


def _with_pools(graph: Graph) -> Graph:
    """Return a graph in which a mean over an image is a pool where it is rounded at once, as timm's networks have it.

    Such a pool has a form in whole numbers; sides that the mean drops are dropped behind the rounding.
    """
    pools = {node.name: node for node in graph.nodes if _is_rounded_mean(graph, node)}
    if not pools:
        return graph

    def change(node: Node) -> tuple[Node, ...]:
        mean = pools.get(node.inputs[0]) if node.op == "quantize" else pools.get(node.name)
        if mean is None:
            return (node,)
        shape = (*graph.shape(mean.inputs[0])[:2], 1, 1)
        if mean is node:
            return (dataclasses.replace(node, op="global_avg_pool", shape=shape, attributes={}),)
        if node.shape == shape:
            return (node,)
        image = dataclasses.replace(node, name=graph.free_name(f"{node.name}.image"), shape=shape)
        return (
            image,
            dataclasses.replace(node, op="reshape", inputs=(image.name,), attributes={"shape": node.shape}),
        )

    return graph.rewritten(change)


def _is_rounded_mean(graph: Graph, node: Node) -> bool:
    if node.op != "reduce_mean" or node.dtype != "float32" or node.name in graph.outputs:
        return False
    rank = len(graph.shape(node.inputs[0]))
    axes = axes_of(node.attributes, rank)
    rounded = {user.op for user in graph.users[node.name]} == {"quantize"}
    return rank == layout.IMAGE_RANK and axes == _IMAGE_SIDES and rounded


def by_channel(node: Node, weight: np.ndarray, scales: np.ndarray) -> np.ndarray | None:
    """Return the scales of a layer's output channels, (O) or (1); None where they lie along another axis.

    Args:
        node: a convolution or a fully connected layer.
        weight: its weights, as floats.
        scales: as the file has them.
    """
    groups = node.attributes.get("groups", 1)
    first = quantization.channels_first(node.op, weight, groups)
    known = np.where(scales == 0, np.float32(1), scales)
    if node.op == "conv2d_transpose" and known.size * groups == len(first):
        known = np.tile(known, groups)
    if known.size not in (1, len(first)):
        return None
    again = quantization.real_weights(quantization.whole_weights(first, known), known)
    return known if np.array_equal(again, first) else None


DOMAINS = ("", "ai.onnx", "com.microsoft")
"""ONNX Runtime's tool writes these operations in its own domain for types that ONNX's opset has not yet."""
OPERATIONS: dict[str, OnnxReading] = {"QuantizeLinear": quantized, "DequantizeLinear": dequantized}
