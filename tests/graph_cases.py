"""Small graphs that have, together, every operation in every form: what writers of other formats are tested on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mbench.networks import torch_network
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

BATCH = 2
SIDE = 9
CHANNELS = 8
_Case = Callable[[GraphBuilder, str], str]


def _convolution(**how: Any) -> _Case:
    channels = how.pop("channels", 12)
    return lambda builder, x: builder.convolution("conv", x, channels, norm=None, bias=True, **how)


def _op(op: str, **attributes: Any) -> _Case:
    return lambda builder, x: builder.add(op, op, x, **attributes)


def _two(op: str) -> _Case:
    """Two values that are computed, the second of which broadcasts; both above zero, as a quotient needs them."""

    def build(builder: GraphBuilder, x: str) -> str:
        gate = builder.add("global_avg_pool", "pool", builder.add("sigmoid", "gate", x))
        return builder.add(op, op, builder.add("sigmoid", "open", x), gate)

    return build


def _constant(op: str, shape: tuple[int, ...]) -> _Case:
    return lambda builder, x: builder.add(op, op, x, builder.parameter("constant", shape))


def _squeeze_excite(builder: GraphBuilder, x: str) -> str:
    x = builder.convolution("dw", x, CHANNELS, kernel=3, groups=CHANNELS, activation="hard_swish", norm=None)
    y = builder.add("global_avg_pool", "squeeze", x)
    y = builder.convolution("reduce", y, 4, norm=None, bias=True, activation="relu")
    y = builder.convolution("expand", y, CHANNELS, norm=None, bias=True, activation="hard_sigmoid")
    return builder.add("multiply", "excite", x, y)


def _attention(builder: GraphBuilder, x: str) -> str:
    """Attention over places, two heads, with keys and values that all heads share."""
    whole = SIDE * SIDE
    query = builder.convolution("query", x, 12, norm=None)
    query = builder.add("reshape", "heads", query, shape=(BATCH, 2, 6, whole))
    query = builder.add("permute", "turned", query, axes=(0, 1, 3, 2))
    key = builder.add("reshape", "keys", builder.convolution("key", x, 6, norm=None), shape=(BATCH, 1, 6, whole))
    weights = builder.add("softmax", "weights", builder.add("matmul", "scores", query, key), axis=-1)
    value = builder.convolution("value", x, 6, norm=None)
    value = builder.add("permute", "moved", value, axes=(0, 2, 3, 1))
    value = builder.add("reshape", "values", value, shape=(BATCH, 1, whole, 6))
    y = builder.add("permute", "back", builder.add("matmul", "sum", weights, value), axes=(0, 1, 3, 2))
    y = builder.add("reshape", "places", y, shape=(BATCH, 12, SIDE, SIDE))
    return builder.add("add", "add", builder.convolution("project", y, CHANNELS, norm=None), x)


def _classifier(builder: GraphBuilder, x: str) -> str:
    x = builder.convolution("conv", x, 16, norm=None, bias=True, activation="relu6")
    x = builder.add("reshape", "flatten", builder.add("global_avg_pool", "pool", x), shape=(BATCH, 16))
    x = builder.add("hard_swish", "act", builder.linear("hidden", x, 20))
    return builder.linear("fc", x, 10, bias=False)


def _flattened(builder: GraphBuilder, x: str) -> str:
    """Features in the order of channels, then of places: not the order in which they lie channels last."""
    x = builder.add("reshape", "flatten", builder.convolution("conv", x, 4, norm=None), shape=(BATCH, 4 * SIDE * SIDE))
    return builder.linear("fc", x, 10)


def _channels_last(builder: GraphBuilder, x: str) -> str:
    """Features in the order in which they lie channels last: nothing moves in memory."""
    x = builder.add("permute", "moved", builder.convolution("conv", x, 4, norm=None), axes=(0, 2, 3, 1))
    return builder.add("reshape", "rows", x, shape=(BATCH, SIDE * SIDE, 4))


def _read_twice(builder: GraphBuilder, x: str) -> str:
    """An activation that cannot be a part of the convolution, since the value before it is read as well."""
    x = builder.convolution("conv", x, CHANNELS, norm=None, bias=True)
    return builder.add("add", "add", builder.add("relu6", "act", x), x)


def _gate_read_twice(builder: GraphBuilder, x: str) -> str:
    x = builder.convolution("conv", x, CHANNELS, norm=None, bias=True)
    return builder.add("multiply", "product", builder.add("hard_sigmoid", "act", x), x)


def _rows(builder: GraphBuilder, x: str) -> str:
    """A fully connected layer and a layer norm over the last axis of three."""
    x = builder.add("reshape", "rows", x, shape=(BATCH, CHANNELS, SIDE * SIDE))
    x = builder.linear("fc", x, 7)
    scale, shift = (builder.parameter(f"norm.{part}", (7,)) for part in ("weight", "bias"))
    return builder.add("layer_norm", "norm", x, scale, shift, axes=(-1,), epsilon=1e-5)


def _linear_rows(builder: GraphBuilder, x: str) -> str:
    x = builder.add("reshape", "rows", x, shape=(BATCH, CHANNELS, SIDE * SIDE))
    return builder.linear("fc", x, 7)


def _clipped(builder: GraphBuilder, x: str) -> str:
    x = builder.convolution("conv", x, CHANNELS, norm=None, bias=True)
    return builder.add("clip", "clip", x, low=0.0, high=6.0)


def _concatenated(builder: GraphBuilder, x: str) -> str:
    return builder.add("concat", "concat", x, builder.convolution("conv", x, 4, norm=None), axis=1)


_WINDOW: dict[str, Any] = {"kernel": (3, 3), "strides": (2, 2)}
CASES: dict[str, _Case] = {
    "conv 3x3": _convolution(kernel=3),
    "conv 3x3 stride 2": _convolution(kernel=3, stride=2),
    "conv 3x3 stride 2, no padding": _convolution(kernel=3, stride=2, padding=(0, 0, 0, 0)),
    "conv stride 2 padded below": _convolution(kernel=3, stride=2, padding=(0, 0, 1, 1)),
    "conv with a pad on each side": _convolution(kernel=3, padding=(3, 0, 1, 2)),
    "conv 5x3 stride 2, 1": _convolution(kernel=(5, 3), stride=(2, 1)),
    "conv dilated": _convolution(kernel=3, dilation=2),
    "conv in groups": _convolution(kernel=3, groups=4),
    "depthwise": _convolution(kernel=5, stride=2, groups=CHANNELS, channels=CHANNELS),
    "depthwise, two a channel": _convolution(kernel=3, groups=CHANNELS, channels=2 * CHANNELS),
    "conv relu": _convolution(activation="relu"),
    "conv relu6": _convolution(activation="relu6"),
    "conv hard_sigmoid": _convolution(activation="hard_sigmoid"),
    "conv clip to 6": _clipped,
    "activation of a value read twice": _read_twice,
    "gate of a value read twice": _gate_read_twice,
    "squeeze-excite": _squeeze_excite,
    "attention": _attention,
    "classifier": _classifier,
    "flattened": _flattened,
    "channels last": _channels_last,
    "rows": _rows,
    "fully connected over rows": _linear_rows,
    "concat": _concatenated,
    "slice": _op("slice", axis=1, begin=2, end=5),
    "batch_norm": lambda builder, x: builder.batch_norm("norm", x),
    "global_avg_pool": _op("global_avg_pool"),
    "max_pool2d": _op("max_pool2d", padding=(1, 1, 1, 1), **_WINDOW),
    "max_pool2d, no padding": _op("max_pool2d", padding=(0, 0, 0, 0), **_WINDOW),
    "avg_pool2d": _op("avg_pool2d", padding=(1, 1, 1, 1), **_WINDOW),
    "avg_pool2d of the image alone": _op("avg_pool2d", padding=(1, 1, 1, 1), count_include_pad=False, **_WINDOW),
    **{op: _two(op) for op in ("add", "subtract", "multiply", "divide", "maximum", "minimum")},
    "multiply each channel": _constant("multiply", (1, CHANNELS, 1, 1)),
    "add to each channel": _constant("add", (CHANNELS, 1, 1)),
    "scale": _op("scale", factor=0.125),
    "clip": _op("clip", low=-0.5, high=0.75),
    "clip below": _op("clip", low=-0.5, high=math.inf),
    "clip to 6": _op("clip", low=0.0, high=6.0),
    **{
        op: _op(op)
        for op in (*("relu", "relu6", "hard_swish", "hard_sigmoid", "sigmoid", "silu", "gelu", "gelu_tanh", "tanh"),)
    },
}
"""What each graph has between its input, (BATCH, CHANNELS, SIDE, SIDE), and its output."""


def graph(name: str) -> Graph:
    """Return the graph of a case."""
    builder = GraphBuilder()
    return builder.graph(CASES[name](builder, builder.input("image", (BATCH, CHANNELS, SIDE, SIDE))))


def answers(given: Graph) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return parameters for a graph, an input, and PyTorch's output for it."""
    parameters, inputs = torch_network.draw(given), torch_network.example_inputs(given)
    [output] = torch_network.run(given, parameters, inputs)
    [image] = inputs.values()
    return parameters, image.numpy(), output.numpy()
