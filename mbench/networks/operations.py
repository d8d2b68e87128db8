"""The operations of a graph's nodes: the shape and type that each gives, its multiply-adds, and its attributes.

| operation | reads | attributes |
|---|---|---|
| `conv2d` | image (N, C, H, W), weight (O, C / groups, H, W), bias (O)? | `strides`, `padding`, `dilation`, `groups` |
| `conv2d_transpose` | image, weight (C, O / groups, …), bias (O)? | those of `conv2d`, `output_padding` (down, right) |
| `linear` | (…, I), weight (O, I), bias (O)? | |
| `matmul` | (…, M, K), (…, K, N) | |
| `batch_norm` | image, weight, bias, mean, variance, each (C) | `epsilon` |
| `instance_norm` | image, weight (C), bias (C) | `epsilon` |
| `group_norm` | image, weight (C), bias (C) | `epsilon`, `groups` |
| `layer_norm` | x, weight, bias | `axes`, `epsilon` |
| `lrn` | image | `size`, `alpha`, `beta`, `bias` |
| `max_pool2d` | image | `kernel`, `strides`, `padding`, `ceil_mode`, `dilation` (1, 1) |
| `avg_pool2d` | image | `kernel`, `strides`, `padding`, `ceil_mode`, `count_include_pad` |
| `global_avg_pool` | image, gives (N, C, 1, 1) | |
| `resize2d` | image | `size` (H, W), `scales` (H, W), `mode`, `coordinates`, `rounding`, `cubic_coefficient` |
| `pad` | x | `widths` ((before, after), …), `mode` (constant, reflect, edge), `value` |
| `softmax` | x | `axis` |
| `reduce_mean`, `reduce_sum`, `reduce_max`, `reduce_min`, `reduce_prod` | x | `axes`, `keepdims` |
| `argmax`, `argmin` | x, gives int64 | `axis`, `keepdims` |
| `reshape` | x | `shape` |
| `permute` | x | `axes` |
| `rearrange` | x | `parts`, `order`, `shape`: see `networks.rearranging` |
| `concat` | x, … | `axis` |
| `slice` | x | `axis`, `begin`, `end` (None: past the last, or the first), `step` (1), which may be negative |
| `expand` | x, which broadcasts to it | `shape` |
| `gather` | x, indices | `axis` |
| `add`, `subtract`, `multiply`, `divide`, `maximum`, `minimum`, `power`, `mod` | two, which broadcast | |
| `equal`, `greater`, `less`, `greater_equal`, `less_equal` | two, which broadcast; gives bool | |
| `and`, `or` | two of bool, which broadcast | |
| `where` | condition (bool), and two to choose from, which broadcast | |
| `clip` | x | `low`, `high` |
| `scale` | x | `factor` |
| `prelu` | x, slope, which broadcasts to it | |
| `leaky_relu`, `elu`, `celu` | x | `alpha` |
| `cast` | x | `to`, a type |
| `relu`, `relu6`, `hard_swish`, `hard_sigmoid`, `sigmoid`, `silu`, `gelu`, `gelu_tanh`, `tanh` | x | |
| `selu`, `softplus`, `softsign`, `mish`, `erf`, `exp`, `log`, `sqrt`, `reciprocal`, `sin`, `cos` | x | |
| `abs`, `negative`, `sign`, `floor`, `ceil`, `round` (halves to even), `not` (bool) | x | |
| `quantize` | x (float) | RESULT |
| `dequantize` | x of 8 bits; or sums and scale (float32), which broadcasts | of 8 bits: `scale`, `zero_point` |
| `requantize` | sums (int32), multiplier (float), residual of 8 bits? | RESULT, LIMITS, RESIDUAL, `shifted`, `short` |
| `lookup` | x of 8 bits, table (256) | RESULT, `steps`: the functions that it is the table of |
| `quantized_add` | two of 8 bits, which broadcast | RESULT, LIMITS, `multipliers`, `zero_points` |
| `quantized_affine` | x of 8 bits, multiplier, offset (float32) | RESULT, LIMITS |
| `quantized_multiply` | two of 8 bits, which broadcast; gives int32 | `zero_point`, `other_zero_point` |
| `sum_pool2d` | image of 8 bits, gives int32 | those of `avg_pool2d`, `zero_point` |
| `global_sum_pool` | image of 8 bits, gives (N, C, 1, 1) int32 | `zero_point` |

The last nine are those of quantised networks: docs/int8.md defines them. RESULT is `scale`, `zero_point` and `to`, a
type of 8 bits, of what it gives; LIMITS are `low` and `high`, the whole numbers that it stays between; RESIDUAL are
`residual_multiplier`, `residual_zero_point` and `residual_less` (0). `shifted` (False): the zero point is added before
the rounding; there is no residual then. `short` (False): what is rounded is known to fit into 16 bits, whatever is
read. `less` (0), which `networks.signed` sets, is taken off what is given in the end, `residual_less` and the two
`operands_less` of `quantized_add` were taken off what is read. Multipliers, offsets and scales broadcast to x. Of 8-bit
values, `conv2d`, `conv2d_transpose`, `linear` and `matmul` give sums in int32, with a bias of int32; their attributes
`zero_point` (0), which padding has too, and `other_zero_point` (0, of weights too) are taken off what they read.
`largest_weight` (128) is a magnitude that none of their weights exceeds, 64 or 127, so that kernels may count on it.
Padding is (top, left, bottom, right); strides and dilation are (down, right). Where an attribute has a default, it
stands in parentheses. Of whole numbers, `divide` rounds towards 0; `mod` has the sign of its second operand. An index
of `gather` may be negative: it counts from the end. Of equal elements, `argmax` and `argmin` give the first. `lrn`
sums over the channels from `(size - 1) // 2` before to `size // 2` after. `networks.resizing` says what `resize2d`'s
attributes mean.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from mbench.networks import operation_shapes as shapes
from mbench.networks.graph import GraphError
from mbench.networks.operation_shapes import Attributes, Extents


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """What is known of an operation: `shape` of what it gives, from the shapes that it reads, and its multiply-adds.

    `dtype`: the type of what it gives, from the types that it reads; by default the first's.
    `elementwise`: each element of what it gives depends on the same element of what it reads, which may broadcast.
    `reads`: how often the expression of such an element has each operand in it, at most. `calls`: whether it calls a
    function that is written out in many steps, such as exp. `floats`: whether it takes floating-point numbers alone.
    """

    shape: Callable[[tuple[Extents, ...], Attributes], Extents]
    macs: Callable[[tuple[Extents, ...], Extents], int] = lambda _inputs, _output: 0
    dtype: Callable[[tuple[str, ...], Attributes], str] = lambda inputs, _attributes: inputs[0]
    elementwise: bool = False
    reads: int = 1
    calls: bool = False
    floats: Callable[[Attributes], bool] = lambda _attributes: False


def _of_weights(inputs: tuple[Extents, ...], output: Extents) -> int:
    """Multiply-adds of what sums over all weights of an output channel, those on padding included."""
    return math.prod(output) * math.prod(inputs[1][1:])


def _of_inputs(inputs: tuple[Extents, ...], _output: Extents) -> int:
    """Multiply-adds where each element that is read meets all weights of its channel, those outside included."""
    return math.prod(inputs[0]) * math.prod(inputs[1][1:])


def _of_matrices(inputs: tuple[Extents, ...], output: Extents) -> int:
    return math.prod(output) * inputs[0][-1]


def _sums(inputs: tuple[str, ...], _attributes: Attributes) -> str:
    """Return the type of sums of multiplications: wider than 8-bit values."""
    return "int32" if inputs[0] in ("uint8", "int8") else inputs[0]


def _always(dtype: str) -> Callable[[tuple[str, ...], Attributes], str]:
    return lambda _inputs, _attributes: dtype


_ELEMENT = Operation(shape=shapes.same, elementwise=True)
_ELEMENTS = Operation(shape=shapes.broadcast, elementwise=True)
_TWICE = dataclasses.replace(_ELEMENT, reads=2)
_CALLED = dataclasses.replace(_ELEMENT, calls=True)
_COMPARED = dataclasses.replace(_ELEMENTS, dtype=_always("bool"))
_REDUCTION = Operation(shape=shapes.reduction)
_PLACE = Operation(shape=shapes.place, dtype=_always("int64"))
_QUANTIZED = Operation(
    shape=shapes.like_first, elementwise=True, dtype=lambda _inputs, attributes: str(attributes["to"])
)

ACTIVATIONS = (
    *("relu", "relu6", "hard_swish", "hard_sigmoid"),
    *("sigmoid", "silu", "gelu", "gelu_tanh", "tanh"),
)
"""The operations that a family's words may name: they take one value and have no attributes."""

ONLY_IN_FILES: dict[str, Operation] = {
    "conv2d_transpose": Operation(shape=shapes.conv2d_transpose, macs=_of_inputs, dtype=_sums),
    "instance_norm": Operation(shape=shapes.by_channel),
    "group_norm": Operation(shape=shapes.by_channel),
    "lrn": Operation(shape=shapes.same),
    "resize2d": Operation(shape=shapes.resize2d, floats=lambda attributes: bool(attributes["mode"] != "nearest")),
    "pad": Operation(shape=shapes.pad),
    **{f"reduce_{how}": _REDUCTION for how in ("mean", "sum", "max", "min", "prod")},
    **dict.fromkeys(("argmax", "argmin"), _PLACE),
    "expand": Operation(shape=shapes.expand),
    "rearrange": Operation(shape=shapes.rearrange),
    "gather": Operation(shape=shapes.gather),
    "power": dataclasses.replace(_ELEMENTS, floats=lambda _attributes: True),
    "mod": dataclasses.replace(_ELEMENTS, reads=2),
    **dict.fromkeys(("equal", "greater", "less", "greater_equal", "less_equal"), _COMPARED),
    **dict.fromkeys(("and", "or"), _ELEMENTS),
    "where": dataclasses.replace(_ELEMENTS, dtype=lambda inputs, _attributes: inputs[1]),
    "prelu": Operation(shape=shapes.like_first, elementwise=True, reads=2),
    "leaky_relu": _TWICE,
    **dict.fromkeys(("elu", "celu", "selu"), dataclasses.replace(_TWICE, calls=True)),
    "cast": dataclasses.replace(_ELEMENT, dtype=lambda _inputs, attributes: str(attributes["to"])),
    "softsign": _TWICE,
    "softplus": dataclasses.replace(_TWICE, calls=True),
    "mish": dataclasses.replace(_ELEMENT, reads=5, calls=True),
    **dict.fromkeys(("exp", "log", "erf"), _CALLED),
    **dict.fromkeys(("sqrt", "sin", "cos", "floor", "ceil", "round"), _ELEMENT),
    **dict.fromkeys(("abs", "negative", "reciprocal", "not"), _ELEMENT),
    "sign": _TWICE,
}
"""What users' files have, and no family."""

ONLY_QUANTIZED: dict[str, Operation] = {
    "quantize": _QUANTIZED,
    "dequantize": Operation(shape=shapes.like_first, elementwise=True, dtype=_always("float32")),
    "requantize": _QUANTIZED,
    "lookup": dataclasses.replace(_QUANTIZED, shape=shapes.lookup),
    "quantized_add": dataclasses.replace(_QUANTIZED, shape=shapes.broadcast),
    "quantized_affine": _QUANTIZED,
    "quantized_multiply": dataclasses.replace(_ELEMENTS, dtype=_always("int32")),
    "sum_pool2d": Operation(shape=shapes.pool, dtype=_always("int32")),
    "global_sum_pool": Operation(shape=shapes.image_means, dtype=_always("int32")),
}
"""What quantised networks have alone."""

OPERATIONS: dict[str, Operation] = {
    "conv2d": Operation(shape=shapes.conv2d, macs=_of_weights, dtype=_sums),
    "linear": Operation(shape=shapes.linear, macs=_of_weights, dtype=_sums),
    "matmul": Operation(shape=shapes.matmul, macs=_of_matrices, dtype=_sums),
    "batch_norm": Operation(shape=shapes.by_channel),
    "layer_norm": Operation(shape=shapes.same),
    "max_pool2d": Operation(shape=shapes.pool),
    "avg_pool2d": Operation(shape=shapes.pool),
    "global_avg_pool": Operation(shape=shapes.image_means),
    "softmax": Operation(shape=shapes.same),
    "reshape": Operation(shape=shapes.reshape),
    "permute": Operation(shape=lambda inputs, attributes: tuple(inputs[0][axis] for axis in attributes["axes"])),
    "concat": Operation(shape=shapes.concat),
    "slice": Operation(shape=shapes.slice),
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "maximum", "minimum"), _ELEMENTS),
    **dict.fromkeys(("clip", "scale", *ACTIVATIONS), _ELEMENT),
    "hard_swish": _TWICE,
    **dict.fromkeys(("sigmoid", "tanh"), _CALLED),
    **dict.fromkeys(("silu", "gelu"), dataclasses.replace(_TWICE, calls=True)),
    "gelu_tanh": dataclasses.replace(_ELEMENT, reads=4, calls=True),
    **ONLY_IN_FILES,
    **ONLY_QUANTIZED,
}


def of(op: str) -> Operation:
    """Return what is known of an operation.

    Raises:
        GraphError: there is no such operation.
    """
    if op not in OPERATIONS:
        raise GraphError(f"operation {op!r} is not known; expected one of: {', '.join(OPERATIONS)}")
    return OPERATIONS[op]


def is_elementwise(op: str) -> bool:
    """Return whether each element of what an operation gives depends on the same element of what it reads."""
    return of(op).elementwise


_OF_TRUTHS = (
    *("and", "or", "not", "where", "cast", "equal"),
    *("reshape", "permute", "rearrange", "concat", "slice", "expand", "gather", "pad"),
)
"""The operations that values of true and false may have."""


def check_types(op: str, inputs: tuple[str, ...], attributes: Attributes) -> None:
    """Check that an operation takes values of these types.

    Raises:
        GraphError: it takes floating-point numbers alone, or no truths.
    """
    if "bool" in inputs and op not in _OF_TRUTHS:
        raise GraphError(f"{op} is computed of numbers alone, and this is of true and false; cast it before")
    other = next((each for each in inputs if "float" not in each), None)
    if other is not None and of(op).floats(attributes):
        raise GraphError(f"{op} is computed of floating-point numbers alone, and this is of {other}; cast it before")
