"""ONNX's operations on elements, reductions and matrix products, as nodes of the graph."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mbench.networks.importers.einsum import einsum
from mbench.networks.importers.forms import expanded, matmul, softmax, xor
from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError, constant
from mbench.networks.importers.onnx_layer import OnnxLayer, OnnxReading

_SAME = {
    "Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softsign": "softsign", "Softplus": "softplus",
    "Mish": "mish", "HardSwish": "hard_swish", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Abs": "abs",
    "Neg": "negative", "Reciprocal": "reciprocal", "Floor": "floor", "Ceil": "ceil", "Round": "round", "Sign": "sign",
    "Erf": "erf", "Sin": "sin", "Cos": "cos", "Not": "not",
}  # fmt: skip
"""Operations that the graph has as well, of one value."""

_TWO = {
    "Equal": "equal", "Greater": "greater", "Less": "less", "GreaterOrEqual": "greater_equal",
    "LessOrEqual": "less_equal", "And": "and", "Or": "or",
}  # fmt: skip
"""The same, of two values."""


def _unary(op: str) -> OnnxReading:
    return lambda layer: layer.writer.add(op, layer.x)


def _binary(op: str) -> OnnxReading:
    return lambda layer: layer.writer.add(op, layer.x, layer.value(1))


def _arithmetic(op: str) -> OnnxReading:
    return lambda layer: layer.writer.arithmetic(op, layer.x, layer.value(1))


def _chain(op: str) -> OnnxReading:
    def read(layer: OnnxLayer) -> GraphValue:
        total = layer.x
        for place in range(1, len(layer.inputs)):
            total = layer.writer.add(op, total, layer.value(place))
        return total

    return read


def _mean(layer: OnnxLayer) -> GraphValue:
    return layer.writer.scaled(_as_value(_chain("add")(layer)), 1 / len(layer.inputs))


def _as_value(made: GraphValue | tuple[GraphValue, ...]) -> GraphValue:
    assert isinstance(made, GraphValue)
    return made


def _sloped(op: str, default: float) -> OnnxReading:
    return lambda layer: layer.writer.add(op, layer.x, alpha=float(layer.attribute("alpha", default)))


def _selu(layer: OnnxLayer) -> GraphValue:
    """Write SELU, of its usual numbers or of others: those are gamma times an ELU."""
    alpha, gamma = float(layer.attribute("alpha", _SELU[0])), float(layer.attribute("gamma", _SELU[1]))
    if math.isclose(alpha, _SELU[0], rel_tol=1e-5) and math.isclose(gamma, _SELU[1], rel_tol=1e-5):
        return layer.writer.add("selu", layer.x)
    return layer.writer.scaled(layer.writer.add("elu", layer.x, alpha=alpha), gamma)


_SELU = (1.6732632423543772, 1.0507009873554805)


def _prelu(layer: OnnxLayer) -> GraphValue:
    slope = layer.value(1)
    number = slope.number
    if number is not None:
        return layer.writer.add("leaky_relu", layer.x, alpha=number)
    return layer.writer.add("prelu", layer.x, slope)


def _hard_sigmoid(layer: OnnxLayer) -> GraphValue:
    """Write a hard sigmoid: of the usual slope, 1/6 (which files round in many ways), or of another."""
    alpha, beta = float(layer.attribute("alpha", 0.2)), float(layer.attribute("beta", 0.5))
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return layer.writer.add("hard_sigmoid", layer.x)
    return layer.writer.clipped(layer.writer.add("add", layer.writer.scaled(layer.x, alpha), beta), 0.0, 1.0)


def _gelu(layer: OnnxLayer) -> GraphValue:
    how = layer.attribute("approximate", "none")
    if how not in ("none", "tanh"):
        raise LayerError(f"its approximate is {how!r}; expected none or tanh")
    return layer.writer.add("gelu_tanh" if how == "tanh" else "gelu", layer.x)


def _swish(layer: OnnxLayer) -> GraphValue:
    alpha = float(layer.attribute("alpha", 1.0))
    if alpha == 1.0:
        return layer.writer.add("silu", layer.x)
    gate = layer.writer.add("sigmoid", layer.writer.scaled(layer.x, alpha))
    return layer.writer.add("multiply", layer.x, gate)


def _thresholded(layer: OnnxLayer) -> GraphValue:
    over = layer.writer.add("greater", layer.x, float(layer.attribute("alpha", 1.0)))
    return layer.writer.add("where", over, layer.x, constant(np.zeros((), layer.x.dtype)))


def _shrink(layer: OnnxLayer) -> GraphValue:
    writer, x = layer.writer, layer.x
    bias, edge = float(layer.attribute("bias", 0.0)), float(layer.attribute("lambd", 0.5))
    small = writer.add(
        "where", writer.add("less", x, -edge), writer.add("add", x, bias), constant(np.zeros((), x.dtype))
    )
    return writer.add("where", writer.add("greater", x, edge), writer.add("add", x, -bias), small)


def _clip(layer: OnnxLayer) -> GraphValue:
    """Write a clip of any form: bounds as attributes, as constants, as values, or none."""
    low, high = layer.optional(1), layer.optional(2)
    if all(each is None or each.is_constant for each in (low, high)) and layer.x.is_float:
        least, most = layer.number(1, "min", -math.inf), layer.number(2, "max", math.inf)
        return layer.writer.clipped(layer.x, min(least, most), most)
    x = layer.x if low is None else layer.writer.add("maximum", layer.x, low)
    return x if high is None else layer.writer.add("minimum", x, high)


def _mod(layer: OnnxLayer) -> GraphValue:
    if layer.attribute("fmod", 0):
        x, y = layer.x.array, layer.value(1).array
        if x is None or y is None:
            raise LayerError("its fmod is 1; mbench knows the remainder with the divisor's sign alone (fmod 0)")
        return constant(np.fmod(x, y))
    return layer.writer.add("mod", layer.x, layer.value(1))


def _is_nan(layer: OnnxLayer) -> GraphValue:
    """Write where a softmax has no number: along what is masked out completely. torch writes 0 there."""
    writer, x = layer.writer, layer.x
    if x.array is not None:
        return constant(np.isnan(x.array))
    made = writer.maker(x)
    if made is None or made.op != "softmax":
        raise LayerError("it asks which of the numbers that are computed are NaN; mbench knows it of a softmax alone")
    scores = writer.value(made.inputs[0])
    most = writer.reduced("max", scores, (made.attributes["axis"],), keepdims=True)
    return expanded(writer, writer.add("equal", most, -math.inf), x.shape)


def _where(layer: OnnxLayer) -> GraphValue:
    return layer.writer.add("where", layer.x, layer.value(1), layer.value(2))


def _softmax(*, logarithm: bool) -> OnnxReading:
    def read(layer: OnnxLayer) -> GraphValue:
        writer, x = layer.writer, layer.x
        if layer.opset >= 13:
            return softmax(writer, x, layer.axis(-1), logarithm=logarithm)
        axis = layer.axis(1)  # older opsets take all axes from this one together
        if axis == x.rank - 1 or math.prod(x.shape[axis + 1 :]) == 1:
            return softmax(writer, x, axis, logarithm=logarithm)
        rows = writer.reshaped(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
        return writer.reshaped(softmax(writer, rows, 1, logarithm=logarithm), x.shape)

    return read


ValueStep = Callable[[GraphWriter, GraphValue], GraphValue]


def _reduction(how: str, before: ValueStep | None = None, after: ValueStep | None = None) -> OnnxReading:
    def read(layer: OnnxLayer) -> GraphValue:
        chosen, x = _axes(layer), layer.x
        value = before(layer.writer, x) if before else x
        value = layer.writer.reduced(how, value, chosen, keepdims=bool(layer.attribute("keepdims", 1)))
        return after(layer.writer, value) if after else value

    return read


def _axes(layer: OnnxLayer) -> tuple[int, ...]:
    """Return the axes of a reduction: where none are named all, or none at all."""
    named = layer.integers(1, "axes")
    if not named and layer.attribute("noop_with_empty_axes", 0):
        return ()
    return named or tuple(range(layer.x.rank))


def _unit_length(layer: OnnxLayer) -> GraphValue:
    writer, x, order, axis = layer.writer, layer.x, int(layer.attribute("p", 2)), layer.axis(-1)
    if order not in (1, 2):
        raise LayerError(f"its p is {order}; mbench knows 1 and 2 alone")
    parts = writer.add("abs", x) if order == 1 else _square(writer, x)
    total = writer.reduced("sum", parts, (axis,), keepdims=True)
    length = total if order == 1 else writer.add("sqrt", total)
    return writer.add("divide", x, writer.add("maximum", length, float(np.finfo(x.dtype).tiny)))


def _log_sum_exp(layer: OnnxLayer) -> GraphValue:
    chosen, writer, x = _axes(layer), layer.writer, layer.x
    keepdims = bool(layer.attribute("keepdims", 1))
    most = writer.reduced("max", x, chosen, keepdims=True)
    total = writer.reduced("sum", writer.add("exp", writer.add("subtract", x, most)), chosen, keepdims=True)
    result = writer.add("add", writer.add("log", total), most)
    kept = [side for axis, side in enumerate(x.shape) if axis not in {each % x.rank for each in chosen}]
    return result if keepdims else writer.reshaped(result, kept)


def _place(op: str) -> OnnxReading:
    def read(layer: OnnxLayer) -> GraphValue:
        layer.refuse("select_last_index")
        return layer.writer.add(op, layer.x, axis=layer.axis(0), keepdims=bool(layer.attribute("keepdims", 1)))

    return read


def gemm(layer: OnnxLayer) -> GraphValue:
    """Write a product of matrices with a sum: a fully connected layer where the second is constant."""
    writer, a, b, c = layer.writer, layer.x, layer.value(1), layer.optional(2)
    alpha, beta = float(layer.attribute("alpha", 1.0)), float(layer.attribute("beta", 1.0))
    if layer.attribute("transA", 0):
        a = writer.permuted(a, (1, 0))
    turned = bool(layer.attribute("transB", 0))
    if c is not None and beta != 1.0:
        c = writer.scaled(c, beta)
    if b.array is None or a.is_constant:
        product = writer.scaled(writer.add("matmul", a, writer.permuted(b, (1, 0)) if turned else b), alpha)
        return product if c is None else writer.add("add", product, c)
    weight = writer.scaled(b if turned else writer.permuted(b, (1, 0)), alpha)
    weight = weight if weight.name else constant(_numbers(weight), b.name)
    if c is not None and c.array is not None and c.shape in ((weight.shape[0],), (1, weight.shape[0])):
        return writer.add("linear", a, weight, writer.reshaped(c, (weight.shape[0],)))
    product = writer.add("linear", a, weight)
    return product if c is None else writer.add("add", product, c)


def _numbers(value: GraphValue) -> np.ndarray:
    assert value.array is not None
    return value.array


def _matmul(layer: OnnxLayer) -> GraphValue:
    return matmul(layer.writer, layer.x, layer.value(1))


def _einsum(layer: OnnxLayer) -> GraphValue:
    values = [layer.value(place) for place in range(len(layer.inputs))]
    return einsum(layer.writer, str(layer.attribute("equation", "")), *values)


def _square(writer: GraphWriter, x: GraphValue) -> GraphValue:
    return writer.add("multiply", x, x)


def _apply(op: str) -> ValueStep:
    return lambda writer, x: writer.add(op, x)


OPERATIONS: dict[str, OnnxReading] = {
    **{name: _unary(op) for name, op in _SAME.items()},
    **{name: _binary(op) for name, op in _TWO.items()},
    **{
        name: _arithmetic(op)
        for name, op in {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide"}.items()
    },
    "Sum": _chain("add"),
    "Max": _chain("maximum"),
    "Min": _chain("minimum"),
    "Mean": _mean,
    "Pow": lambda layer: layer.writer.power(layer.x, layer.value(1)),
    "Mod": _mod,
    "Xor": lambda layer: xor(layer.writer, layer.x, layer.value(1)),
    "Where": _where,
    "IsNaN": _is_nan,
    "LeakyRelu": _sloped("leaky_relu", 0.01),
    "Elu": _sloped("elu", 1.0),
    "Celu": _sloped("celu", 1.0),
    "Selu": _selu,
    "PRelu": _prelu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Swish": _swish,
    "ThresholdedRelu": _thresholded,
    "Shrink": _shrink,
    "Clip": _clip,
    "Softmax": _softmax(logarithm=False),
    "LogSoftmax": _softmax(logarithm=True),
    "ReduceMean": _reduction("mean"),
    "ReduceSum": _reduction("sum"),
    "ReduceMax": _reduction("max"),
    "ReduceMin": _reduction("min"),
    "ReduceProd": _reduction("prod"),
    "ReduceL1": _reduction("sum", _apply("abs")),
    "ReduceL2": _reduction("sum", _square, _apply("sqrt")),
    "ReduceSumSquare": _reduction("sum", _square),
    "ReduceLogSum": _reduction("sum", None, _apply("log")),
    "ReduceLogSumExp": _log_sum_exp,
    "LpNormalization": _unit_length,
    "ArgMax": _place("argmax"),
    "ArgMin": _place("argmin"),
    "Gemm": gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
}
