"""Which operations have a form in whole numbers, and which; what the others lack.

| form | operations | in whole numbers |
|---|---|---|
| `sums` | convolutions, `linear`, `matmul`, mean pools, `multiply` of two values | int32 sums, then requantised |
| `add` | `add` and `subtract` of two values | `quantized_add`, or the residual of a `requantize` |
| `affine` | `add`, `subtract` and `multiply` with constants | `quantized_affine` |
| `table` | functions of one number: activations, `scale`, `clip` | a table of 256 entries, or bounds of another |
| `pass` | `reshape`, `slice`, `max_pool2d`, `resize2d` nearest … | the same, with the same scale |
| `concat`, `pad` | these | the same, on values of one scale |
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mbench.networks.graph import Graph, Node
from mbench.networks.quantization import Quantization

WEIGHTED = ("conv2d", "conv2d_transpose", "linear")
SUMMED = (*WEIGHTED, "matmul")
"""What sums multiplications: a residual may be added to the sums before they are rounded."""
CLAMPS = ("relu", "relu6", "clip")
POOLS = ("avg_pool2d", "global_avg_pool")
_TABLES = (
    *(*CLAMPS, "hard_swish", "hard_sigmoid", "sigmoid", "silu", "gelu", "gelu_tanh", "tanh", "scale", "leaky_relu"),
    *("elu", "celu", "selu", "softplus", "softsign", "mish", "erf", "sin", "cos", "abs", "negative", "sign"),
    *("floor", "ceil", "round"),
)
_PASSING = ("reshape", "permute", "rearrange", "slice", "expand", "max_pool2d", "reduce_max", "reduce_min")
_WITHOUT = {
    "softmax": "its exponentials have no form of 8 bits here",
    "layer_norm": "it divides by what it computes",
    "instance_norm": "it divides by what it computes",
    "group_norm": "it divides by what it computes",
    "lrn": "it divides by what it computes",
    "batch_norm": "it is not folded into a convolution",
    "resize2d": "it interpolates",
    "divide": "it divides by what it computes",
    **dict.fromkeys(("exp", "log", "sqrt", "reciprocal", "power"), "its range is too wide for 8 bits"),
}


def form(graph: Graph, node: Node) -> str:
    """Return the form of a node in whole numbers; nothing where it has none."""
    if node.dtype != "float32":
        return ""
    if node.op in _TABLES:
        return "table"
    if node.op in WEIGHTED:
        return "sums" if all(name in graph.parameters for name in node.inputs[1:]) else ""
    if node.op in POOLS:
        return "sums"
    operands, constants = graph.operands(node), graph.constants(node)
    if node.op == "matmul":
        return "" if constants else "sums"
    if node.op in ("add", "subtract", "multiply"):
        return _arithmetic(graph, node)
    if node.op in _PASSING or (node.op == "resize2d" and node.attributes["mode"] == "nearest"):
        return "pass"
    if node.op == "gather":
        return "pass" if node.inputs[0] in operands else ""
    return node.op if node.op in ("concat", "pad") and not constants else ""


def _arithmetic(graph: Graph, node: Node) -> str:
    operands, constants = graph.operands(node), graph.constants(node)
    if not constants:
        return "sums" if node.op == "multiply" else "add"
    kept = len(operands) == 1 and graph.shape(operands[0]) == node.shape
    return "affine" if kept and (node.op != "subtract" or node.inputs[1] in constants) else ""


def reason(graph: Graph, node: Node) -> str:
    """Return why a node has no form in whole numbers, in a few words."""
    if node.dtype != "float32":
        return f"it gives {node.dtype}"
    if node.op in WEIGHTED:
        return "its weights are computed"
    if graph.constants(node) and node.op in ("matmul", "concat", "add", "subtract", "multiply"):
        return "one of its operands is a constant"
    return _WITHOUT.get(node.op, "it has no form of 8 bits here")


def bounds(node: Node) -> tuple[float, float]:
    """Return the bounds of a clamp."""
    if node.op == "clip":
        return float(node.attributes["low"]), float(node.attributes["high"])
    return 0.0, 6.0 if node.op == "relu6" else math.inf


def narrowed(before: tuple[float, float], node: Node) -> tuple[float, float]:
    """Return the bounds of what is within some already and is clamped again."""
    low, high = bounds(node)
    first, last = (min(max(each, low), high) for each in before)
    return first, last


def table(x: Quantization, steps: Sequence[Node], result: Quantization) -> np.ndarray:
    """Return what functions of one number, one after the other, make of each 8-bit number: (256) of the result's type.

    They are computed in float64 and rounded once, halves to even; NaN gives the smallest number.
    """
    from mbench.networks import tensors, torch_operations  # not above: the form of a node is known without torch

    low, high = x.limits
    value = tensors.of(x.real(np.arange(low, high + 1)))
    for step in steps:
        value = torch_operations.OPERATIONS[step.op](step, value)
    first, last = result.limits
    exact = np.rint(value.numpy() / result.scale) + result.zero_point
    return np.where(np.isnan(exact), first, np.clip(exact, first, last)).astype(result.dtype)


def step(node: Node) -> tuple[str, dict[str, float]]:
    """Return what a table's node says of one of its functions."""
    return node.op, {name: float(value) for name, value in node.attributes.items()}
