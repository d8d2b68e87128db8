"""Networks with their weights, lowered, for tests that run them."""

from __future__ import annotations

import dataclasses

import numpy as np

from mbench.compile import to_relax
from mbench.core.records import Variant
from mbench.networks import architectures, folding, torch_network, weights
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network(to_relax.Lowered):
    """A network whose `module` takes the image alone, and what it is checked against."""

    example: np.ndarray
    expected: np.ndarray


def lowered(variant: Variant) -> Network:
    """Return a network with its weights in place."""
    plain, drawn = to_relax.lower(architectures.folded(variant).graph), weights.draw(variant)
    return Network(
        module=to_relax.bind(plain, drawn.parameters),
        calls=plain.calls,
        parameters={},
        example=drawn.examples["image"],
        expected=drawn.expected[0],
    )


def of_graph(graph: Graph) -> Network:
    """Return a network of one input and one output, its weights drawn and in place."""
    folded, drawn = folding.as_compiled(graph), torch_network.draw(graph)
    plain, inputs = to_relax.lower(folded.graph), torch_network.example_inputs(graph)
    [expected] = torch_network.run(graph, drawn, inputs)
    [example] = inputs.values()
    return Network(
        module=to_relax.bind(plain, folded.parameters(drawn)),
        calls=plain.calls,
        parameters={},
        example=example.numpy(),
        expected=expected.numpy(),
    )


def mixed(dtype: str = "float32") -> Graph:
    """Return a small network with squeeze-excite, a pool, attention over its pixels, and a softmax at its end."""
    builder = GraphBuilder(dtype=dtype)
    x = builder.input("image", (2, 3, 16, 16))
    x = builder.convolution("first", x, 16, kernel=3, stride=2, activation="hard_swish")
    x = builder.convolution("apart", x, 16, kernel=3, groups=16, dilation=2, activation="relu6")
    squeezed = builder.add("global_avg_pool", "squeeze", x)
    gate = builder.convolution("gate", squeezed, 16, norm=None, bias=True, activation="sigmoid")
    x = builder.add("multiply", "scaled", x, gate)
    x = builder.add("max_pool2d", "largest", x, kernel=(3, 3), strides=(2, 2), padding=(0, 0, 1, 1))
    parts = {name: builder.convolution(name, x, 16, activation="gelu") for name in ("query", "key", "value")}
    flat = {name: builder.add("reshape", f"{name}.flat", part, shape=(2, 16, 16)) for name, part in parts.items()}
    query, value = (builder.add("permute", f"{name}.rows", flat[name], axes=(0, 2, 1)) for name in ("query", "value"))
    scores = builder.add("matmul", "scores", query, flat["key"])
    mean = builder.add("matmul", "mean_of_values", builder.add("softmax", "weights", scores, axis=-1), value)
    back = builder.add("permute", "back", mean, axes=(0, 2, 1))
    x = builder.add("add", "sum", builder.add("reshape", "image2", back, shape=(2, 16, 4, 4)), x)
    x = builder.add("avg_pool2d", "mean", x, kernel=(2, 2), strides=(2, 2), padding=(0, 0, 0, 0))
    x = builder.add("global_avg_pool", "pool", x)
    x = builder.linear("fc", builder.add("reshape", "flat", x, shape=(2, 16)), 10)
    return builder.graph(builder.add("softmax", "probabilities", x, axis=1))


def of_files(dtype: str = "float32") -> Graph:
    """Return a small network of what only users' files have: norms by channel, a shuffle, a resize, and others."""
    builder = GraphBuilder(dtype=dtype)
    x = builder.input("image", (2, 3, 16, 16))
    x = builder.convolution("first", x, 16, kernel=3, stride=2, activation="relu")
    given = [builder.parameter(f"norm.{part}", (16,)) for part in ("weight", "bias")]
    x = builder.add("group_norm", "norm", x, *given, groups=4, epsilon=1e-5)
    x = builder.add(
        "permute", "turned", builder.add("reshape", "split", x, shape=(2, 2, 8, 8, 8)), axes=(0, 2, 1, 3, 4)
    )
    x = builder.add("reshape", "shuffle", x, shape=(2, 16, 8, 8))
    y = builder.convolution("down", x, 16, kernel=3, stride=2, activation="relu")
    y = builder.add("resize2d", "larger", y, size=(8, 8), mode="linear", coordinates="half_pixel")
    weight = builder.parameter("up.weight", (16, 8, 2, 2))
    x = builder.add("conv2d_transpose", "up", builder.add("add", "sum", x, y), weight, strides=(2, 2),
                    padding=(0, 0, 0, 0), output_padding=(0, 0), dilation=(1, 1), groups=1)  # fmt: skip
    x = builder.add("pad", "wider", x, widths=((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    most = builder.add("reduce_max", "most", builder.add("lrn", "around", x, size=5, alpha=0.1, beta=0.75, bias=1.0),
                       axes=(2, 3), keepdims=False)  # fmt: skip
    return builder.graph(builder.linear("fc", most, 10))
