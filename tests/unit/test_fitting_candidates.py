from __future__ import annotations

import math

import pytest

from mbench.build import builders
from mbench.core import dtypes
from mbench.core.errors import UsageError
from mbench.fitting import candidates
from mbench.hardware import targets
from mbench.networks import architectures, variants

TARGET = targets.load("arm64_cortex_a72")


def test_a_family_stands_for_its_published_sizes_and_all_between() -> None:
    found = candidates.names(["mobilenet_v1"])
    published = variants.expand(["mobilenet_v1_{0.25,0.5,0.75,1.0}_{128,160,192,224}"])
    assert found[: len(published)] == published
    assert {"mobilenet_v1_0.3_128", "mobilenet_v1_0.95_208", "mobilenet_v1_0.5_144"} <= set(found)
    assert len(found) == len(set(found)) == 16 * 7  # widths by 0.05, resolutions by 16
    assert all(0.25 <= variants.parse(name).number("width_multiplier") <= 1.0 for name in found)


def test_a_family_of_one_size_is_one_candidate_and_other_words_stand_for_themselves() -> None:
    assert candidates.names(["efficientnet_lite0"]) == ("efficientnet_lite0_1.0_224",)
    assert candidates.names(["mobilenet_v2_0.5_96", "model.onnx"]) == ("mobilenet_v2_0.5_96", "model.onnx")


@pytest.mark.parametrize("name", ["mobilenet_v1_0.5_160", "mobilenet_v2_0.75_96", "mobilenet_v3_small_1.0_224"])
def test_it_knows_what_a_network_costs_without_building_it(name: str) -> None:
    [found] = candidates.described([variants.parse(name)], TARGET)
    layers = architectures.layers(variants.parse(name))
    assert found.costs.macs == sum(layer.macs for layer in layers)
    assert found.costs.params == sum(layer.params for layer in layers)
    largest = max(math.prod(layer.input_shape) + math.prod(layer.output_shape) for layer in layers)
    assert largest * dtypes.width("float32") <= found.live_bytes < 2 * largest * dtypes.width("float32")


def test_a_quantised_candidate_has_the_layers_of_whole_numbers() -> None:
    plain = variants.parse("mobilenet_v2_0.35_96")
    floats, whole = candidates.described([plain, variants.of_type(plain, "int8")], TARGET)
    assert whole.costs.macs == floats.costs.macs
    assert whole.costs.weight_bytes < floats.costs.weight_bytes / 3
    assert {shape.kind.split()[-1] for shape in whole.shapes} == {"int8"}
    assert candidates.group(whole.network) != candidates.group(floats.network)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("mobilnet_v1", "family 'mobilnet_v1' is not known; did you mean 'mobilenet_v1'? see 'mbench variants'"),
        ("mobilenet_v3", "did you mean 'mobilenet_v3_large' or 'mobilenet_v3_small'"),
    ],
)
def test_a_word_that_is_nearly_a_family_is_refused_and_the_family_is_named(word: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        candidates.names([word])
    assert said in str(caught.value)


def test_quantised_networks_with_tables_are_planned_in_the_child_that_plans_a_search() -> None:
    """Tables of hard-swish are computed by torch, which processes that compile leave out."""
    wanted = [variants.of_type(variants.parse(name), "int8") for name in ("mobilenet_v3_small_1.0_224", "mnasnet_a1")]
    found = builders.in_a_child(candidates.described, wanted, TARGET)
    assert [each.network.name for each in found] == [each.name for each in wanted]
