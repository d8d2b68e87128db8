"""Networks with their weights, lowered, for tests that run them."""

from __future__ import annotations

import dataclasses

import numpy as np

from mbench.compile import to_relax
from mbench.core.records import Variant
from mbench.networks import architectures, folding, torch_network, weights
from mbench.networks.graph import Graph


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
        permutations={},
        example=drawn.examples["image"],
        expected=drawn.expected[0],
    )


def of_graph(graph: Graph) -> Network:
    """Return a network of one input and one output, its weights drawn and in place."""
    folded, drawn = folding.fold(graph), torch_network.draw(graph)
    plain, inputs = to_relax.lower(folded.graph), torch_network.example_inputs(graph)
    [expected] = torch_network.run(graph, drawn, inputs)
    [example] = inputs.values()
    return Network(
        module=to_relax.bind(plain, folded.parameters(drawn)),
        calls=plain.calls,
        permutations={},
        example=example.numpy(),
        expected=expected.numpy(),
    )
