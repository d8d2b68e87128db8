"""The operations of a graph's nodes: the shape that each gives, its multiply-adds, and which attributes it has.

| operation | reads | attributes |
|---|---|---|
| `conv2d` | image (N, C, H, W), weight (O, C / groups, H, W), bias (O)? | `strides`, `padding`, `dilation`, `groups` |
| `linear` | (…, I), weight (O, I), bias (O)? | |
| `matmul` | (…, M, K), (…, K, N) | |
| `batch_norm` | image, weight, bias, mean, variance, each (C) | `epsilon` |
| `layer_norm` | x, weight, bias | `axes`, `epsilon` |
| `max_pool2d`, `avg_pool2d` | image | `kernel`, `strides`, `padding`, `ceil_mode`, `count_include_pad` |
| `global_avg_pool` | image, gives (N, C, 1, 1) | |
| `softmax` | x | `axis` |
| `reshape` | x | `shape` |
| `permute` | x | `axes` |
| `concat` | x, … | `axis` |
| `slice` | x | `axis`, `begin`, `end` |
| `add`, `subtract`, `multiply`, `divide`, `maximum`, `minimum` | two, which broadcast | |
| `clip` | x | `low`, `high` |
| `scale` | x | `factor` |
| `relu`, `relu6`, `hard_swish`, `hard_sigmoid`, `sigmoid`, `silu`, `gelu`, `gelu_tanh`, `tanh` | x | |

Padding is (top, left, bottom, right); strides and dilation are (down, right).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from mbench.networks.graph import GraphError

Extents = tuple[int, ...]
Attributes = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """What is known of an operation: `shape` of what it gives, from the shapes that it reads, and its multiply-adds.

    `elementwise`: each element of what it gives depends on the same element of what it reads, which may broadcast.
    `reads`: how often the expression of such an element has each operand in it. `calls`: whether it calls a function,
    such as exp.
    """

    shape: Callable[[tuple[Extents, ...], Attributes], Extents]
    macs: Callable[[tuple[Extents, ...], Extents], int] = lambda _inputs, _output: 0
    elementwise: bool = False
    reads: int = 1
    calls: bool = False


def _conv2d(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    image, weight = inputs[0], inputs[1]
    groups = attributes["groups"]
    if image[1] % groups or weight[0] % groups or weight[1] != image[1] // groups:
        raise GraphError(f"a convolution of {image[1]} channels in {groups} groups cannot have weights {weight}")
    sides = _sides(image[2:], weight[2:], attributes["strides"], attributes["padding"], attributes["dilation"])
    return (image[0], weight[0], *sides)


def _sides(
    sides: Extents, kernel: Extents, strides: Extents, padding: Extents, dilation: Extents = (1, 1), *, up: bool = False
) -> Extents:
    """Return how many places a window has along each side.

    `up`: the last may reach beyond the padding, but begins inside the image or before it (torch, `ceil_mode`).
    """
    found = []
    for axis in (0, 1):
        room = sides[axis] + padding[axis] + padding[axis + 2] - ((kernel[axis] - 1) * dilation[axis] + 1)
        if room < 0:
            raise GraphError(f"a window of {kernel[axis]} does not fit a side of {sides[axis]}")
        places = (-(-room // strides[axis]) if up else room // strides[axis]) + 1
        beyond = (places - 1) * strides[axis] >= sides[axis] + padding[axis]
        found.append(places - 1 if up and beyond else places)
    return tuple(found)


def _pool(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    image = inputs[0]
    up = bool(attributes.get("ceil_mode", False))
    sides = _sides(image[2:], attributes["kernel"], attributes["strides"], attributes["padding"], up=up)
    return (*image[:2], *sides)


def _linear(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    x, weight = inputs[0], inputs[1]
    if x[-1] != weight[1]:
        raise GraphError(f"a fully connected layer of {weight[1]} inputs cannot read {x}")
    return (*x[:-1], weight[0])


def _matmul(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    left, right = inputs
    if left[-1] != right[-2]:
        raise GraphError(f"a matrix product of {left} and {right} is none")
    return (*_broadcast((left[:-2], right[:-2]), {}), left[-2], right[-1])


def _broadcast(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    rank = max(map(len, inputs))
    aligned = [(1,) * (rank - len(shape)) + shape for shape in inputs]
    result = tuple(max(extents) for extents in zip(*aligned, strict=True))
    for shape in aligned:
        if any(extent not in (1, whole) for extent, whole in zip(shape, result, strict=True)):
            raise GraphError(f"shapes {' and '.join(map(str, inputs))} do not broadcast")
    return result


def _reshape(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    shape: Extents = tuple(attributes["shape"])
    if math.prod(shape) != math.prod(inputs[0]):
        raise GraphError(f"{inputs[0]} cannot be reshaped to {shape}")
    return shape


def _concat(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    first = inputs[0]
    axis = attributes["axis"] % len(first)
    if any(shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :] for shape in inputs):
        raise GraphError(f"{' and '.join(map(str, inputs))} cannot lie beside each other along axis {axis}")
    return (*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :])


def _slice(inputs: tuple[Extents, ...], attributes: Attributes) -> Extents:
    begin, end = attributes["begin"], attributes["end"]
    axis = attributes["axis"] % len(inputs[0])
    if not 0 <= begin < end <= inputs[0][axis]:
        raise GraphError(f"there is no part from {begin} to {end} of axis {axis} of {inputs[0]}")
    return (*inputs[0][:axis], end - begin, *inputs[0][axis + 1 :])


def _same(inputs: tuple[Extents, ...], _attributes: Attributes) -> Extents:
    return inputs[0]


def _of_weights(inputs: tuple[Extents, ...], output: Extents) -> int:
    """Multiply-adds of what sums over all weights of an output channel, those on padding included."""
    return math.prod(output) * math.prod(inputs[1][1:])


def _of_matrices(inputs: tuple[Extents, ...], output: Extents) -> int:
    return math.prod(output) * inputs[0][-1]


_ELEMENT = Operation(shape=_same, elementwise=True)
_ELEMENTS = Operation(shape=_broadcast, elementwise=True)

ACTIVATIONS = (
    *("relu", "relu6", "hard_swish", "hard_sigmoid"),
    *("sigmoid", "silu", "gelu", "gelu_tanh", "tanh"),
)
"""The operations that take one value and have no attributes."""

OPERATIONS: dict[str, Operation] = {
    "conv2d": Operation(shape=_conv2d, macs=_of_weights),
    "linear": Operation(shape=_linear, macs=_of_weights),
    "matmul": Operation(shape=_matmul, macs=_of_matrices),
    "batch_norm": Operation(shape=_same),
    "layer_norm": Operation(shape=_same),
    "max_pool2d": Operation(shape=_pool),
    "avg_pool2d": Operation(shape=_pool),
    "global_avg_pool": Operation(shape=lambda inputs, _attributes: (*inputs[0][:2], 1, 1)),
    "softmax": Operation(shape=_same),
    "reshape": Operation(shape=_reshape),
    "permute": Operation(shape=lambda inputs, attributes: tuple(inputs[0][axis] for axis in attributes["axes"])),
    "concat": Operation(shape=_concat),
    "slice": Operation(shape=_slice),
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "maximum", "minimum"), _ELEMENTS),
    **dict.fromkeys(("clip", "scale", *ACTIVATIONS), _ELEMENT),
    "hard_swish": dataclasses.replace(_ELEMENT, reads=2),
    **dict.fromkeys(("sigmoid", "tanh"), dataclasses.replace(_ELEMENT, calls=True)),
    **dict.fromkeys(("silu", "gelu"), dataclasses.replace(_ELEMENT, reads=2, calls=True)),
    "gelu_tanh": dataclasses.replace(_ELEMENT, reads=4, calls=True),
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
