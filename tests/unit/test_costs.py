"""Costs by shapes alone: beside the papers' tables, and beside what torch counts and holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mbench.core.errors import UsageError
from mbench.networks import architectures, costs, kernels, layers, torch_network, torch_operations, variants
from mbench.networks.graph import Node
from mbench.networks.graph_builder import GraphBuilder


def layer_costs(name: str, batch: int = 1) -> list[costs.Costs]:
    return [costs.of_layer(spec) for spec in architectures.layers(variants.parse(name, batch=batch))]


def total(name: str, batch: int = 1) -> costs.Costs:
    return costs.total(layer_costs(name, batch))


# -------------------------------------------------------------------------------------------------- the paper's figures
# arXiv:1704.04861, tables 4 to 7: million multiply-adds, million parameters. Two rows are in tests of their own below.
PUBLISHED = {
    "mobilenet_v1_1.0_224": (569, 4.2),
    "mobilenet_v1_0.75_224": (325, 2.6),
    "mobilenet_v1_0.5_224": (149, 1.3),
    "mobilenet_v1_0.25_224": (41, 0.5),
    "mobilenet_v1_1.0_192": (418, 4.2),
    "mobilenet_v1_1.0_128": (186, 4.2),
    "mobilenet_v1_1.0_224_shallow": (307, 2.9),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_macs_and_parameters_are_the_published_ones(name: str) -> None:
    summed = total(name)
    assert (round(summed.macs / 1e6), round(summed.params / 1e6, 1)) == PUBLISHED[name]


def test_the_paper_leaves_the_fully_connected_layer_out_of_the_standard_network() -> None:
    # table 4, "Conv MobileNet": 4866 million multiply-adds, 29.3 million parameters
    summed = total("mobilenet_v1_1.0_224_standard")
    dense = costs.of_layer(architectures.layers(variants.parse("mobilenet_v1_1.0_224_standard"))[-1])
    assert round(summed.params / 1e6, 1) == 29.3
    assert dense.macs == 1_024_000
    assert round(summed.macs / 1e6, 1) == 4867.3
    assert round((summed.macs - dense.macs) / 1e6, 1) == 4866.3
    assert round((summed.macs - dense.macs) / 1e6) == 4866


def test_the_paper_truncates_the_macs_at_resolution_160() -> None:
    # table 7, "1.0 MobileNet-160": 290 million multiply-adds, 4.2 million parameters
    summed = total("mobilenet_v1_1.0_160")
    assert round(summed.macs / 1e6, 2) == 290.68
    assert int(summed.macs / 1e6) == 290
    assert round(summed.params / 1e6, 1) == 4.2


# arXiv:1704.04861, table 2: percent of multiply-adds, percent of parameters.
TABLE_2 = {
    "pointwise_conv2d": (94.86, 74.59),
    "depthwise_conv2d": (3.06, 1.06),
    "conv2d": (1.19, 0.02),
    "dense": (0.18, 24.33),
}


def test_the_split_by_kind_of_layer_is_the_papers_table_2() -> None:
    split = costs.split_by_op(architectures.layers(variants.parse("mobilenet_v1_1.0_224")))
    whole = costs.total(split.values())
    shares = {
        op: (round(100 * c.macs / whole.macs, 2), round(100 * c.params / whole.params, 2)) for op, c in split.items()
    }
    assert shares.pop("pool") == (0, 0)
    first_macs, first_params = shares.pop("conv2d")
    assert shares == {op: row for op, row in TABLE_2.items() if op != "conv2d"}
    assert first_params == TABLE_2["conv2d"][1]
    # The digits of the first convolution's multiply-adds are swapped in print, and so the column does not reach 100 %.
    assert first_macs == 1.91
    assert round(sum(macs for macs, _ in TABLE_2.values()), 2) == 99.29
    assert round(sum(macs for macs, _ in TABLE_2.values()) - 1.19 + first_macs, 2) == 100.01  # rounding


def test_a_separable_block_saves_what_section_3_1_says() -> None:
    # reduction of 1/N + 1/D_K^2, where N is the number of output channels and D_K the kernel's side
    variant, standard = "mobilenet_v1_1.0_224", "mobilenet_v1_1.0_224_standard"
    by_name = {spec.name: costs.of_layer(spec).macs for spec in architectures.layers(variants.parse(variant))}
    for spec in architectures.layers(variants.parse(standard))[1:-2]:
        block = spec.name.removesuffix(".conv")
        saved = (by_name[f"{block}.dw"] + by_name[f"{block}.pw"]) / costs.of_layer(spec).macs
        assert saved == pytest.approx(1 / spec.output_shape[1] + 1 / 9, rel=1e-12)


# --------------------------------------------------------------------------------------------------- counted from torch
NAMES = [
    *(f"mobilenet_v1_{size}" for size in ("0.25_64", "0.33_33", "1.4_96", "0.1_65", "1.0_32", "0.75_50_standard",
                                          "0.33_33_standard", "0.25_64_shallow")),
    "mobilenet_v2_0.35_65", "mobilenet_v3_large_0.25_64", "mobilenet_v3_small_0.5_33_standard",
    "mobilenet_v4_conv_small_0.35_64", "mobilenet_v4_hybrid_medium_0.25_64", "efficientnet_lite0_0.25_47",
    "mnasnet_a1_0.35_64",
]  # fmt: skip


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, torch.Tensor]]:
    """Return what torch computed for each node of a graph: FLOPs as it counts them, and the value."""
    found: dict[str, tuple[int, torch.Tensor]] = {}

    def watched(op: str) -> None:
        own = torch_operations.OPERATIONS[op]

        def compute(node: Node, *given: torch.Tensor) -> torch.Tensor:
            with FlopCounterMode(display=False) as counter:
                value: torch.Tensor = own(node, *given)
            found[node.name] = (counter.get_total_flops(), value)
            return value

        monkeypatch.setitem(torch_operations.OPERATIONS, op, compute)

    for op in list(torch_operations.OPERATIONS):
        watched(op)
    return found


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_each_layer_costs_what_torch_counts_and_holds(
    name: str, batch: int, seen: dict[str, tuple[int, torch.Tensor]]
) -> None:
    variant = variants.parse(name, batch=batch)
    folded = architectures.folded(variant)
    trained = architectures.graph(variant).parameters
    given = folded.parameters({key: np.ones(each.shape, np.float32) for key, each in trained.items()})
    images = torch_network.example_inputs(folded.graph)
    torch_network.run(folded.graph, given, images)
    values = {**images, **{node: value for node, (_, value) in seen.items()}}
    specs = {spec.name: costs.of_layer(spec) for spec in architectures.layers(variant)}
    groups = [group for group in kernels.groups(folded.graph) if group.nodes]
    assert [group.anchor.name for group in groups] == list(specs)
    for group in groups:
        cost, nodes = specs[group.anchor.name], (*group.nodes, *group.views)
        assert 2 * cost.macs == sum(seen[node.name][0] for node in nodes), group.anchor.name
        constants = dict.fromkeys(name for node in nodes for name in folded.graph.constants(node))
        assert cost.params + cost.biases == sum(given[name].size for name in constants)
        assert cost.biases == sum(given[name].size for name in constants if given[name].ndim == 1 or "norm" in name)
        assert cost.weight_bytes == sum(given[name].nbytes for name in constants)
        read = sum(values[name].nbytes for name in group.reads if name in values)
        assert cost.activation_bytes == read + values[group.output.name].nbytes
    assert sum(cost.macs for cost in specs.values()) > 0


def test_batch_multiplies_macs_and_activations_but_not_weights() -> None:
    for name in ("mobilenet_v1_0.5_96", "mobilenet_v3_large_0.5_64", "mobilenet_v4_hybrid_medium_0.5_64"):
        one, three = total(name), total(name, batch=3)
        assert (three.macs, three.activation_bytes) == (3 * one.macs, 3 * one.activation_bytes)
        assert (three.params, three.biases, three.weight_bytes) == (one.params, one.biases, one.weight_bytes)


def test_a_module_that_is_called_twice_has_its_parameters_once_and_reads_them_twice() -> None:
    builder = GraphBuilder()
    x, weight = builder.input("x", (1, 4, 8, 8)), builder.parameter("w", (4, 4, 3, 3))
    bias = builder.parameter("b", (4,))
    how: dict[str, Any] = {"strides": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    first = builder.add("conv2d", "first", x, weight, bias, **how)
    second = builder.add("conv2d", "second", first, weight, bias, **how)
    found = [costs.of_layer(spec) for spec in layers.of_graph(builder.graph(second))]
    assert [each.params for each in found] == [4 * 4 * 9, 0]
    assert [each.weight_bytes for each in found] == [4 * (4 * 4 * 9 + 4)] * 2


def test_an_unknown_dtype_has_no_bytes() -> None:
    with pytest.raises(UsageError, match="dtype 'float12' is not supported"):
        costs.of_layer(architectures.layers(variants.parse("mobilenet_v1_1.0_224"))[0], "float12")
