from __future__ import annotations

import msgspec
import pytest
import record_factory as factory

from mbench.analysis import pairs, replacements
from mbench.core.records import Result
from mbench.core.replacement import Replacement

NAME = "mobilenet_v2_1.0_224"


def pair(name: str = NAME) -> tuple[Result, Result]:
    network, twin = factory.record((name, f"{name}_standard")).results
    return network, twin


def told(separable: Result, standard: Result) -> list[tuple[str, list[str], list[str]]]:
    return [
        (each.name, [layer.name for layer in each.separable], [layer.name for layer in each.standard])
        for each in replacements.of_results(separable, standard)
    ]


def test_the_projection_of_an_inverted_residual_goes_with_its_depthwise_layer() -> None:
    found = told(*pair())
    assert found[:2] == [
        ("block1", ["block1.dw", "block1.pw"], ["block1.conv"]),
        ("block2", ["block2.dw", "block2.project"], ["block2.conv"]),
    ]
    assert [name for name, _, _ in found] == [f"block{number}" for number in range(1, 18)]


def test_what_was_replaced_is_taken_from_the_record_and_not_from_names_or_roles() -> None:
    network, twin = pair()

    def other(result: Result) -> Result:
        layers = tuple(
            msgspec.structs.replace(layer, name=f"n{layer.index}", role="other", inputs=()) for layer in result.layers
        )
        return msgspec.structs.replace(result, layers=layers)

    places = [{layer.name: f"n{layer.index}" for layer in result.layers} for result in (network, twin)]
    replaced = tuple(
        msgspec.structs.replace(
            each, layer=places[1][each.layer], layers=tuple(places[0][name] for name in each.layers)
        )
        for each in twin.replaced
    )  # fmt: skip
    found = replacements.of_results(other(network), msgspec.structs.replace(other(twin), replaced=replaced))
    assert [[layer.op for layer in each.separable] for each in found] == [
        ["depthwise_conv2d", "pointwise_conv2d"]
    ] * 17  # fmt: skip


def test_without_what_was_replaced_blocks_of_two_stand_beside_their_convolution() -> None:
    """As in records of earlier versions, which had MobileNetV1 alone."""
    network, twin = pair("mobilenet_v1_0.25_32")
    expected = told(network, twin)
    assert len(expected) == 13
    assert told(network, msgspec.structs.replace(twin, replaced=())) == expected
    network, twin = pair()
    assert [name for name, _, _ in told(network, msgspec.structs.replace(twin, replaced=()))] == ["block1"]


def fused(result: Result, *names: str, contains: bool = True, op: str = "inverted_residual") -> Result:
    """Return the result with some layers as one, named otherwise; `contains`: which they are is recorded."""
    inside = [layer for layer in result.layers if layer.name in names]
    whole = msgspec.structs.replace(
        inside[0], name=f"{inside[0].block}.fused", op=op, role="fused", macs=sum(layer.macs for layer in inside),
        contains=names if contains else (), output_shape=inside[-1].output_shape,
    )  # fmt: skip
    layers = tuple(whole if layer is inside[0] else layer for layer in result.layers if layer not in inside[1:])
    return msgspec.structs.replace(result, layers=layers)


BLOCK = ("block3.expand", "block3.dw", "block3.project")


@pytest.mark.parametrize("contains", [True, False])
def test_a_block_that_one_kernel_computes_stands_beside_the_same_layers_of_the_twin(contains: bool) -> None:
    network, twin = pair()
    found = {each.name: each for each in replacements.of_results(fused(network, *BLOCK, contains=contains), twin)}
    block = found["block3"]
    assert block.fused
    assert [layer.op for layer in block.separable] == ["inverted_residual"]
    assert [layer.name for layer in block.standard] == ["block3.expand", "block3.conv"]
    assert block.convolution.name == "block3.conv"
    assert not any(each.fused for name, each in found.items() if name != "block3")
    assert len(found) == 17


def test_a_depthwise_and_a_pointwise_layer_in_one_kernel_stand_beside_their_convolution_alone() -> None:
    network, twin = pair()
    found = {each.name: each for each in replacements.of_results(fused(network, *BLOCK[1:]), twin)}
    assert [layer.name for layer in found["block3"].separable] == ["block3.fused"]
    assert [layer.name for layer in found["block3"].standard] == ["block3.conv"]
    assert found["block3"].fused


def test_an_expansion_that_is_fused_with_the_depthwise_layer_is_there_on_both_sides() -> None:
    network, twin = pair()
    found = {each.name: each for each in replacements.of_results(fused(network, *BLOCK[:2]), twin)}
    assert [layer.name for layer in found["block3"].separable] == ["block3.fused", "block3.project"]
    assert [layer.name for layer in found["block3"].standard] == ["block3.expand", "block3.conv"]
    [block] = [each for each in pairs.Pair(separable=network, standard=twin).blocks() if each.name == "block3"]
    whole = pairs.Pair(separable=fused(network, *BLOCK[:2]), standard=twin).blocks()
    [other] = [each for each in whole if each.name == "block3"]
    assert (other.layers, other.fused, block.fused) == (BLOCK, True, False)
    assert (other.separable_macs - block.separable_macs) == (other.standard_macs - block.standard_macs) > 0


def test_what_is_fused_with_layers_that_another_convolution_stands_for_takes_the_block_along() -> None:
    """As in MobileNetV4: the expansion goes with the first depthwise layer, the projection with the second."""
    network, twin = pair()
    second, third = twin.replaced[1:3]
    replaced = (
        msgspec.structs.replace(second, layers=("block2.dw", "block3.expand")),
        msgspec.structs.replace(third, layers=BLOCK[1:]),
    )
    found = replacements.of_results(fused(network, *BLOCK), msgspec.structs.replace(twin, replaced=replaced))
    assert {each.name for each in found if each.fused} >= {"block3"}
    assert all({layer.block for layer in each.separable} == {each.name} for each in found)


def test_a_layer_that_does_more_than_what_was_replaced_takes_its_block_along() -> None:
    """It has the right name, but its multiply-adds are not those that the record of the twin has."""
    network, twin = pair()
    layers = [
        msgspec.structs.replace(layer, macs=layer.macs + 1) if layer.name == "block5.dw" else layer
        for layer in network.layers
    ]
    found = replacements.of_results(msgspec.structs.replace(network, layers=tuple(layers)), twin)
    assert [each.name for each in found if each.fused] == ["block5"]


def test_two_depthwise_layers_of_a_block_are_told_apart_by_their_convolutions() -> None:
    network, twin = pair()
    layers = tuple(
        msgspec.structs.replace(layer, block="block2") if layer.block == "block3" else layer for layer in twin.layers
    )
    found = told(network, msgspec.structs.replace(twin, layers=layers))
    assert [name for name, _, _ in found[:4]] == ["block1", "block2.conv", "block3.conv", "block4"]


def test_a_record_may_name_layers_that_are_not_there() -> None:
    network, twin = pair()
    strange = Replacement(layer="x", layers=("y", "z"), macs_before=1, macs=2)
    assert replacements.of_results(network, msgspec.structs.replace(twin, replaced=(strange,))) == ()
    strange = msgspec.structs.replace(twin.replaced[1], layers=("y", "z"))
    [found] = replacements.of_results(network, msgspec.structs.replace(twin, replaced=(strange,)))
    assert (found.name, found.fused) == ("block2", True)


def test_the_multiply_adds_of_the_network_follow_from_the_twin_alone() -> None:
    network, twin = pair()
    assert replacements.macs_before(twin) == sum(layer.macs for layer in network.layers)
    assert replacements.macs_before(network) is None
