"""ATen's operations on elements, reductions and matrix products, as nodes of the graph."""

from __future__ import annotations

import math

import numpy as np

from mbench.networks.importers.export_layer import ExportLayer, ExportReading
from mbench.networks.importers.forms import attended, masked_softmax, matmul, softmax, xor
from mbench.networks.importers.graph_writer import GraphValue, GraphWriter, LayerError, constant

_SAME = {
    "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh", "silu": "silu", "hardswish": "hard_swish",
    "hardsigmoid": "hard_sigmoid", "mish": "mish", "selu": "selu", "exp": "exp", "log": "log", "sqrt": "sqrt",
    "abs": "abs", "neg": "negative", "reciprocal": "reciprocal", "floor": "floor", "ceil": "ceil", "round": "round",
    "sign": "sign", "sgn": "sign", "erf": "erf", "sin": "sin", "cos": "cos", "relu6": "relu6",
}  # fmt: skip
"""Operations that the graph has as well, of one value."""

_COMPARED = {"eq": "equal", "gt": "greater", "lt": "less", "ge": "greater_equal", "le": "less_equal"}

_OF_TRUTHS = {"add": "or", "multiply": "and"}
"""What addition and multiplication are where both operands are true or false."""


def _unary(op: str) -> ExportReading:
    return lambda layer: layer.writer.add(op, layer.cast(layer.x))


def _operands(layer: ExportLayer) -> tuple[GraphValue, GraphValue]:
    """Return both operands in the type of what comes out."""
    return layer.cast(layer.value("self")), layer.cast(layer.value("other"))


def _arithmetic(op: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        x, y = _operands(layer)
        if layer.dtype == "bool" and op in _OF_TRUTHS:
            return layer.writer.add(_OF_TRUTHS[op], x, y)
        alpha = layer.arguments.get("alpha", 1)
        if alpha != 1:
            y = layer.writer.arithmetic("multiply", y, constant(np.array(alpha, y.dtype)))
        return layer.writer.arithmetic(op, x, y)

    return read


def _reversed(layer: ExportLayer) -> GraphValue:
    """Write `other - alpha * self`."""
    x, y = _operands(layer)
    scaled = layer.writer.scaled(x, float(layer["alpha"])) if layer["alpha"] != 1 else x
    return layer.writer.arithmetic("subtract", y, scaled)


def _divided(layer: ExportLayer) -> GraphValue:
    x, y = _operands(layer)
    how = layer.arguments.get("rounding_mode")
    if how is None:
        return layer.writer.arithmetic("divide", x, y)
    quotient = layer.writer.add("divide", x, y)  # a product with 1 / y may lie on the other side of a whole number
    if not x.is_float:
        if how == "floor" and not all(each.is_constant for each in (x, y)):
            raise LayerError("it rounds a quotient of whole numbers down; mbench rounds it towards 0 alone")
        return quotient if how == "trunc" else constant(np.asarray(x.array) // np.asarray(y.array))
    return layer.writer.add("floor", quotient) if how == "floor" else _truncated(layer.writer, quotient)


def _truncated(writer: GraphWriter, x: GraphValue) -> GraphValue:
    return writer.add("multiply", writer.add("sign", x), writer.add("floor", writer.add("abs", x)))


def _binary(op: str) -> ExportReading:
    return lambda layer: layer.writer.add(op, *_operands(layer))


def _comparison(op: str, *, negated: bool = False) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        x, other = layer.value("self"), layer["other"]
        kind = str(np.result_type(x.dtype, other.dtype)) if isinstance(other, GraphValue) else x.dtype
        if isinstance(other, float) and not x.is_float:
            kind = "float32"
        y = other if isinstance(other, GraphValue) else constant(np.array(other, kind))
        made = layer.writer.add(op, layer.cast(x, kind), layer.cast(y, kind))
        return layer.writer.add("not", made) if negated else made

    return read


def _logical(op: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        x, y = layer.value("self"), layer.value("other")
        if {x.dtype, y.dtype} != {"bool"}:
            raise LayerError("it works on the bits of whole numbers; mbench knows it of true and false alone")
        if op == "xor":
            return xor(layer.writer, x, y)
        return layer.writer.add(op, x, y)

    return read


def _not(layer: ExportLayer) -> GraphValue:
    x = layer.x
    return layer.writer.add("not", x) if x.dtype == "bool" else layer.writer.add("equal", x, 0)


def _where(layer: ExportLayer) -> GraphValue:
    return layer.writer.add("where", layer.value("condition"), *_operands(layer))


def _gelu(layer: ExportLayer) -> GraphValue:
    return layer.writer.add("gelu_tanh" if layer["approximate"] == "tanh" else "gelu", layer.x)


def _elu(layer: ExportLayer) -> GraphValue:
    alpha, scale, inner = (float(layer[name]) for name in ("alpha", "scale", "input_scale"))
    return layer.writer.scaled(layer.writer.add("elu", layer.writer.scaled(layer.x, inner), alpha=alpha), scale)


def _leaky(layer: ExportLayer) -> GraphValue:
    return layer.writer.add("leaky_relu", layer.x, alpha=float(layer["negative_slope"]))


def _celu(layer: ExportLayer) -> GraphValue:
    return layer.writer.add("celu", layer.x, alpha=float(layer["alpha"]))


def _softplus(layer: ExportLayer) -> GraphValue:
    """Write softplus; beyond the threshold torch takes the value itself, by default the same to the last bits."""
    beta, threshold = float(layer["beta"]), float(layer["threshold"])
    x, times_beta = layer.x, layer.writer.scaled(layer.x, beta)
    made = layer.writer.scaled(layer.writer.add("softplus", times_beta), 1 / beta)
    if threshold >= _SAME_FROM:
        return made
    return layer.writer.add("where", layer.writer.add("greater", times_beta, threshold), x, made)


_SAME_FROM = 17.0
"""From there on, log(1 + exp(x)) is x in float32."""


def _prelu(layer: ExportLayer) -> GraphValue:
    """Write PReLU; its slopes are those of the channels."""
    x, slope = layer.x, layer.value("weight")
    if slope.number is not None:
        return layer.writer.add("leaky_relu", x, alpha=slope.number)
    return layer.writer.add("prelu", x, layer.writer.reshaped(slope, (slope.shape[0], *(1,) * (x.rank - 2))))


def _clamp(layer: ExportLayer) -> GraphValue:
    """Write a clamp of any form: bounds are numbers, values, or none."""
    x = layer.cast(layer.x)
    low, high = layer.arguments.get("min"), layer.arguments.get("max")
    if all(each is None or isinstance(each, int | float) for each in (low, high)) and x.is_float:
        return layer.writer.clipped(x, -math.inf if low is None else low, math.inf if high is None else high)
    x = x if low is None else layer.writer.add("maximum", x, layer.cast(layer.as_value(low)))
    return x if high is None else layer.writer.add("minimum", x, layer.cast(layer.as_value(high)))


def _hardtanh(layer: ExportLayer) -> GraphValue:
    return layer.writer.clipped(layer.x, float(layer["min_val"]), float(layer["max_val"]))


def _power(layer: ExportLayer) -> GraphValue:
    base, exponent = layer["self"], layer["exponent"]
    if not isinstance(base, GraphValue):
        return layer.writer.add("power", constant(np.array(base, layer.dtype)), layer.cast(exponent))
    x = layer.cast(base)
    return layer.writer.power(x, layer.cast(exponent) if isinstance(exponent, GraphValue) else exponent)


def _then(*ops: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        x = layer.cast(layer.x)
        for op in ops:
            x = layer.writer.add(op, x)
        return x

    return read


def _log1p(layer: ExportLayer) -> GraphValue:
    return layer.writer.add("log", layer.writer.add("add", layer.cast(layer.x), 1.0))


def _square(layer: ExportLayer) -> GraphValue:
    return layer.writer.add("multiply", layer.x, layer.x)


def _reduction(how: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        keepdims = bool(layer.arguments.get("keepdim", False))
        return layer.writer.reduced(how, layer.cast(layer.x), layer.axes(), keepdims=keepdims)

    return read


def _extreme(how: str) -> ExportReading:
    """Read max.dim and min.dim: the largest elements, and where they are."""

    def read(layer: ExportLayer) -> tuple[GraphValue, GraphValue]:
        axis, keepdims = layer.axis(), bool(layer["keepdim"])
        places = layer.writer.add(f"arg{how}", layer.x, axis=axis, keepdims=keepdims)
        return layer.writer.reduced(how, layer.x, (axis,), keepdims=keepdims), places

    return read


def _place(op: str) -> ExportReading:
    def read(layer: ExportLayer) -> GraphValue:
        x, keepdims = layer.x, bool(layer["keepdim"])
        if layer["dim"] is None:
            return layer.writer.reshaped(
                layer.writer.add(op, layer.writer.reshaped(x, (math.prod(x.shape),)), axis=0, keepdims=True),
                (1,) * x.rank if keepdims else (),
            )
        return layer.writer.add(op, x, axis=layer.axis(), keepdims=keepdims)

    return read


def variance(layer: ExportLayer) -> tuple[GraphValue, GraphValue]:
    """Return the variance and the mean along axes."""
    writer, x, axes = layer.writer, layer.x, layer.axes()
    keepdims, correction = bool(layer["keepdim"]), layer["correction"]
    count = math.prod(x.shape[axis] for axis in axes)
    divisor = count - (1 if correction is None else correction)
    if divisor <= 0:
        raise LayerError(f"it is the variance of {count} numbers, over {divisor}")
    mean = writer.add("reduce_mean", x, axes=axes, keepdims=True)
    apart = writer.add("subtract", x, mean)
    squares = writer.add("multiply", apart, apart)
    spread = writer.scaled(writer.add("reduce_mean", squares, axes=axes, keepdims=keepdims), count / divisor)
    kept = [side for axis, side in enumerate(x.shape) if axis not in axes]
    return spread, mean if keepdims else writer.reshaped(mean, kept)


def _norm(layer: ExportLayer) -> GraphValue:
    if layer["ord"] not in (2, 2.0, 1, 1.0):
        raise LayerError(f"it is the norm of order {layer['ord']}; mbench knows 1 and 2 alone")
    writer, x, keepdims = layer.writer, layer.cast(layer.x), bool(layer["keepdim"])
    if layer["ord"] == 1:
        return writer.reduced("sum", writer.add("abs", x), layer.axes(), keepdims=keepdims)
    return writer.add("sqrt", writer.reduced("sum", writer.add("multiply", x, x), layer.axes(), keepdims=keepdims))


def _softmax(*, logarithm: bool) -> ExportReading:
    return lambda layer: softmax(layer.writer, layer.cast(layer.x), layer.axis(), logarithm=logarithm)


def _linear(layer: ExportLayer) -> GraphValue:
    x, weight = layer.value("input"), layer.value("weight")
    bias = layer.given("bias")
    if weight.rank == 2 and weight.is_constant and x.rank > 1:
        return layer.writer.add("linear", x, weight, *bias)
    product = matmul(layer.writer, x, layer.writer.permuted(weight, (1, 0)))
    return layer.writer.add("add", product, bias[0]) if bias else product


def _product(second: str) -> ExportReading:
    return lambda layer: matmul(layer.writer, layer.value("self"), layer.value(second))


def _sum_and_product(left: str, right: str) -> ExportReading:
    """Read addmm and its like: `beta * self + alpha * (left @ right)`."""

    def read(layer: ExportLayer) -> GraphValue:
        writer, added = layer.writer, layer.value("self")
        a, b = layer.value(left), layer.value(right)
        alpha, beta = float(layer["alpha"]), float(layer["beta"])
        plain = alpha == beta == 1.0 and added.is_constant and b.is_constant and b.rank == 2
        if plain and added.shape == (b.shape[1],):
            return writer.add("linear", a, writer.permuted(b, (1, 0)), added)
        product = writer.scaled(matmul(writer, a, b), alpha)
        return writer.add("add", product, writer.scaled(added, beta))

    return read


def attention(layer: ExportLayer) -> GraphValue:
    """Write attention as matrix products and a softmax."""
    writer = layer.writer
    query, key, value = (layer.value(name) for name in ("query", "key", "value"))
    mask, scale = layer["attn_mask"], layer["scale"]
    if layer.arguments.get("dropout_p"):
        raise LayerError("it drops weights at random, as in training; call network.eval() before the export")
    if layer.arguments.get("enable_gqa") and query.shape[-3] != key.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = _repeated(writer, key, times), _repeated(writer, value, times)
    order = (*range(key.rank - 2), key.rank - 1, key.rank - 2)
    scores = writer.add("matmul", writer.scaled(query, scale or query.shape[-1] ** -0.5), writer.permuted(key, order))
    if layer["is_causal"]:
        mask = constant(np.tri(*scores.shape[-2:], dtype=bool))
    return attended(writer, scores, mask, value)


def _repeated(writer: GraphWriter, x: GraphValue, times: int) -> GraphValue:
    """Return a value with each head as often as the queries have it, one after the other."""
    shape = (*x.shape[:-3], x.shape[-3], times, *x.shape[-2:])
    wide = writer.reshaped(x, (*x.shape[:-3], x.shape[-3], 1, *x.shape[-2:]))
    many = writer.add("expand", wide, shape=shape)
    return writer.reshaped(many, (*x.shape[:-3], x.shape[-3] * times, *x.shape[-2:]))


OPERATIONS: dict[str, ExportReading] = {
    **{f"{name}.default": _unary(op) for name, op in _SAME.items()},
    **{
        f"{name}.{form}": _arithmetic(op)
        for name, op in {"add": "add", "sub": "subtract", "mul": "multiply"}.items()
        for form in ("Tensor", "Scalar")
    },
    "rsub.Scalar": _reversed,
    "rsub.Tensor": _reversed,
    **dict.fromkeys(("div.Tensor", "div.Scalar", "div.Tensor_mode", "div.Scalar_mode"), _divided),
    "maximum.default": _binary("maximum"),
    "minimum.default": _binary("minimum"),
    "remainder.Tensor": _binary("mod"),
    "remainder.Scalar": _binary("mod"),
    **{f"{name}.{form}": _comparison(op) for name, op in _COMPARED.items() for form in ("Tensor", "Scalar")},
    "ne.Tensor": _comparison("equal", negated=True),
    "ne.Scalar": _comparison("equal", negated=True),
    **{name: _logical(op) for op in ("and", "or", "xor") for name in (f"logical_{op}.default", f"bitwise_{op}.Tensor")},
    "logical_not.default": _not,
    "bitwise_not.default": _not,
    "where.self": _where,
    "gelu.default": _gelu,
    "elu.default": _elu,
    "leaky_relu.default": _leaky,
    "celu.default": _celu,
    "softplus.default": _softplus,
    "prelu.default": _prelu,
    "_prelu_kernel.default": _prelu,
    **dict.fromkeys(("clamp.default", "clamp.Tensor", "clamp_min.default", "clamp_max.default"), _clamp),
    "clamp_min.Tensor": _clamp,
    "clamp_max.Tensor": _clamp,
    "hardtanh.default": _hardtanh,
    **dict.fromkeys(("pow.Tensor_Scalar", "pow.Tensor_Tensor", "pow.Scalar"), _power),
    "square.default": _square,
    "rsqrt.default": _then("sqrt", "reciprocal"),
    "log1p.default": _log1p,
    "trunc.default": lambda layer: _truncated(layer.writer, layer.x),
    **dict.fromkeys(("mean.dim", "mean.default"), _reduction("mean")),
    **dict.fromkeys(("sum.dim_IntList", "sum.default"), _reduction("sum")),
    **dict.fromkeys(("amax.default", "max.default"), _reduction("max")),
    **dict.fromkeys(("amin.default", "min.default"), _reduction("min")),
    **dict.fromkeys(("prod.default", "prod.dim_int"), _reduction("prod")),
    "max.dim": _extreme("max"),
    "min.dim": _extreme("min"),
    "argmax.default": _place("argmax"),
    "argmin.default": _place("argmin"),
    "var.correction": lambda layer: variance(layer)[0],
    "var_mean.correction": variance,
    "std.correction": lambda layer: layer.writer.add("sqrt", variance(layer)[0]),
    "linalg_vector_norm.default": _norm,
    **dict.fromkeys(("_softmax.default", "softmax.int"), _softmax(logarithm=False)),
    "_safe_softmax.default": lambda layer: masked_softmax(layer.writer, layer.cast(layer.x), layer.axis()),
    **dict.fromkeys(("_log_softmax.default", "log_softmax.int"), _softmax(logarithm=True)),
    "linear.default": _linear,
    "mm.default": _product("mat2"),
    "bmm.default": _product("mat2"),
    "matmul.default": _product("other"),
    "addmm.default": _sum_and_product("mat1", "mat2"),
    "baddbmm.default": _sum_and_product("batch1", "batch2"),
    "scaled_dot_product_attention.default": attention,
}
