from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mbench.core.errors import UsageError
from mbench.core.records import Variant
from mbench.networks import architectures, costs, torch_network, variants


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
def counted(variant: Variant) -> list[tuple[int, int, int]]:
    """Return (multiply-adds, weights, biases once BatchNorm is folded) of each module, as torch counts them."""
    built = torch_network.build(variant)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(torch_network.example_input(variant))
    flops = counter.get_flop_counts()
    seen = []
    for name, module in built.named_children():
        macs, odd = divmod(sum(flops.get(f"Sequential.{name}", {}).values()), 2)
        assert not odd
        weighted = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
        biases = [part.out_channels if isinstance(part, nn.Conv2d) else part.bias.numel() for part in weighted]
        seen.append((macs, sum(part.weight.numel() for part in weighted), sum(biases)))
    return seen


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "name",
    ["0.25_64", "0.33_33", "1.4_96", "0.1_65", "1.0_32", "0.75_50_standard", "0.33_33_standard", "0.25_64_shallow"],
)
def test_each_layer_costs_what_torch_counts(name: str, batch: int) -> None:
    variant = variants.parse(f"mobilenet_v1_{name}", batch=batch)
    expected = counted(variant)
    computed = layer_costs(variant.name, batch)
    assert [(cost.macs, cost.params, cost.biases) for cost in computed] == expected
    assert sum(macs for macs, _, _ in expected) > 0


@pytest.mark.parametrize("name", ["mobilenet_v1_0.33_33", "mobilenet_v1_0.25_40_standard"])
def test_bytes_are_those_of_torchs_tensors(name: str) -> None:
    variant = variants.parse(name, batch=2)
    built = torch_network.build(variant)
    moved: list[int] = []
    for module in built.children():
        module.register_forward_hook(lambda _, given, result: moved.append(given[0].nbytes + result.nbytes))
    with torch.no_grad():
        built(torch_network.example_input(variant))
    assert [cost.activation_bytes for cost in layer_costs(name, batch=2)] == moved
    expected = [4 * (weights + biases) for _, weights, biases in counted(variant)]
    assert [cost.weight_bytes for cost in layer_costs(name, batch=2)] == expected


def test_batch_multiplies_macs_and_activations_but_not_weights() -> None:
    one, three = total("mobilenet_v1_0.5_96"), total("mobilenet_v1_0.5_96", batch=3)
    assert (three.macs, three.activation_bytes) == (3 * one.macs, 3 * one.activation_bytes)
    assert (three.params, three.biases, three.weight_bytes) == (one.params, one.biases, one.weight_bytes)


def test_an_unknown_dtype_has_no_bytes() -> None:
    with pytest.raises(UsageError, match="dtype 'float12' is not supported"):
        costs.of_layer(architectures.layers(variants.parse("mobilenet_v1_1.0_224"))[0], "float12")
