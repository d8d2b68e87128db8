from __future__ import annotations

import msgspec
import record_factory as factory

from mbench.core.records import Counters, Layer
from mbench.gating import matching

NAME = "mobilenet_v1_0.25_32"
LAYERS = factory.record([NAME]).results[0].layers
COUNTED = factory.counted(factory.record([NAME])).results[0].layers


def changed(layer: Layer, **fields: object) -> Layer:
    return msgspec.structs.replace(layer, **fields)


def fused(first: Layer, second: Layer) -> Layer:
    """Return two layers as one, as a compiler that fuses more would have it."""
    return changed(second, name=f"{first.name}_{second.name}", input_shape=first.input_shape,
                   macs=first.macs + second.macs, weight_bytes=first.weight_bytes + second.weight_bytes)  # fmt: skip


def test_the_same_networks_match_layer_by_layer() -> None:
    found = matching.layers(LAYERS, LAYERS)
    assert [match.name for match in found] == [layer.name for layer in LAYERS]
    assert all(match.base == match.head and match.comparable for match in found)


def test_a_group_of_layers_of_several_blocks_belongs_to_none() -> None:
    match = matching.Match(LAYERS[2:4], LAYERS[2:4])
    assert [layer.block for layer in match.base] == ["block1", "block2"]
    assert match.kind == ("pointwise_conv2d", "pointwise", None)
    assert matching.Match((), LAYERS[:1]).kind == matching.kind(LAYERS[0]) == ("conv2d", "stem", "stem")


def test_where_fusion_differs_the_groups_are_matched() -> None:
    head = (*LAYERS[:3], fused(LAYERS[3], LAYERS[4]), *LAYERS[5:])
    group = matching.layers(LAYERS, head)[3]
    assert (group.base, group.head) == (LAYERS[3:5], head[3:4])
    assert group.comparable
    assert group.name == f"{LAYERS[3].name} + {LAYERS[4].name}"
    assert group.kind == ("pointwise_conv2d", "pointwise", "block2")
    assert matching.total(group.base, "macs") == matching.total(group.head, "macs")
    assert len(matching.layers(LAYERS, head)) == len(LAYERS) - 1


def test_new_and_gone_layers_have_one_side() -> None:
    [gone] = [match for match in matching.layers(LAYERS, LAYERS[:-1]) if not match.head]
    [new] = [match for match in matching.layers(LAYERS[:-1], LAYERS) if not match.base]
    assert gone.base == new.head == LAYERS[-1:]
    assert gone.name == new.name == LAYERS[-1].name


def test_the_same_name_with_other_shapes_is_not_compared() -> None:
    last = changed(LAYERS[-1], output_shape=(1, 7, 1, 1))
    match = matching.layers(LAYERS, (*LAYERS[:-1], last))[-1]
    assert (match.base, match.head, match.comparable) == (LAYERS[-1:], (last,), False)


def test_a_sum_is_missing_where_a_part_of_it_is() -> None:
    pair = COUNTED[:2]
    assert all(isinstance(layer.counters, Counters) for layer in pair)
    assert matching.total(pair, "instructions") == sum(layer.counters.instructions for layer in pair if layer.counters)
    assert matching.total((pair[0], changed(pair[1], counters=None)), "instructions") is None
    assert matching.total((), "macs") is None
