"""The digest of a network: the same wherever it is compiled, another for another network."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import record_factory as factory

from mbench.core import network_digest
from mbench.core.records import Layer
from mbench.networks import architectures, folding, variants
from mbench.networks import layers as layers_of
from mbench.networks.graph_builder import GraphBuilder

NAME = "mobilenet_v1_0.25_32"


def layers(name: str = NAME) -> tuple[Layer, ...]:
    return factory.record((name,)).results[0].layers


DIGEST = network_digest.of_layers(layers())


def test_it_is_the_same_at_any_batch_and_however_it_was_compiled() -> None:
    assert network_digest.of_layers(layers(f"{NAME}_b8")) == DIGEST
    compiled = (msgspec.structs.replace(layer, kernel="another", workspace_bytes=7) for layer in layers())
    assert network_digest.of_layers(compiled) == DIGEST


@pytest.mark.parametrize(
    "other", ["mobilenet_v1_0.5_32", "mobilenet_v1_0.25_64", f"{NAME}_standard", f"{NAME}_shallow"]
)
def test_another_network_has_another(other: str) -> None:
    assert network_digest.of_layers(layers(other)) != DIGEST


@pytest.mark.parametrize(
    "changes",
    [{"name": "x"}, {"op": "other"}, {"inputs": ("conv0", "block1.dw")}, {"stride": (2, 2)}, {"groups": 1},
     {"kernel_size": (5, 5)}, {"output_shape": (1, 9, 16, 16)}],
    ids=str,
)  # fmt: skip
def test_whatever_changes_what_is_computed_changes_it(changes: dict[str, Any]) -> None:
    found = layers()
    changed = (*found[:1], msgspec.structs.replace(found[1], **changes), *found[2:])
    assert network_digest.of_layers(changed) != DIGEST


def test_it_is_the_same_from_a_file() -> None:
    documents = [msgspec.to_builtins(layer) for layer in layers()]
    assert network_digest.of_documents(documents) == DIGEST


def built(bounds: tuple[float, float] = (0.0, 1.0), **how: Any) -> str:
    """Return the digest of a network as a build finds it: a convolution whose output is as large as its input."""
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("x", (1, 4, 9, 9)), 4, kernel=3, **how)
    graph = builder.graph(builder.add("clip", "clip", x, low=bounds[0], high=bounds[1]))
    return network_digest.of_layers(layers_of.of_graph(folding.as_compiled(graph).graph))


def test_what_shapes_do_not_show_changes_it_too() -> None:
    """The same shapes, strides and groups each time: another dilation, other sides padded, other bounds."""
    changed: list[dict[str, Any]] = [{}, {"dilation": 2}, {"padding": (0, 1, 2, 1)}, {"bounds": (0.0, 2.0)}]
    assert len({built(**each) for each in changed}) == len(changed)
    assert built() == built(padding=(1, 1, 1, 1))


def test_a_built_in_network_has_the_same_as_records_of_before_have() -> None:
    """Records hold no settings, and those of version 0.1.0 are read by their layers: MobileNetV1's have none."""
    assert network_digest.of_layers(architectures.layers(variants.parse(NAME))) == DIGEST
    for family in ("mobilenet_v2", "mobilenet_v3_small", "mnasnet_a1"):
        assert not any(layer.settings for layer in architectures.layers(variants.parse(family)))
