from __future__ import annotations

import msgspec
import record_factory as factory

from mbench.analysis import replacements
from mbench.core.records import Layer, Replacement, Result

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


def fused(layers: tuple[Layer, ...], block: str) -> tuple[Layer, ...]:
    """Return the layers with those of a block as one, which has the name of the first."""
    inside = [layer for layer in layers if layer.block == block]
    whole = msgspec.structs.replace(
        inside[0], op="inverted_residual", macs=sum(layer.macs for layer in inside), latency_s=(1.0, 1.0, 1.0)
    )  # fmt: skip
    return tuple(whole if layer is inside[0] else layer for layer in layers if layer not in inside[1:])


def test_a_block_that_one_kernel_computes_stands_beside_the_twins_whole_block() -> None:
    network, twin = pair()
    network = msgspec.structs.replace(network, layers=fused(network.layers, "block3"))
    found = {each.name: each for each in replacements.of_results(network, twin)}
    block = found["block3"]
    assert block.whole
    assert [layer.op for layer in block.separable] == ["inverted_residual"]
    assert [layer.name for layer in block.standard] == ["block3.expand", "block3.conv"]
    assert block.convolution.name == "block3.conv"
    assert not any(each.whole for name, each in found.items() if name != "block3")
    assert len(found) == 17


def test_a_layer_that_does_more_than_what_was_replaced_takes_its_block_along() -> None:
    """It has the right name, but its multiply-adds are not those that the record of the twin has."""
    network, twin = pair()
    layers = [
        msgspec.structs.replace(layer, macs=layer.macs + 1) if layer.name == "block5.dw" else layer
        for layer in network.layers
    ]
    found = replacements.of_results(msgspec.structs.replace(network, layers=tuple(layers)), twin)
    assert [each.name for each in found if each.whole] == ["block5"]


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
    assert (found.name, found.whole) == ("block2", True)


def test_the_multiply_adds_of_the_network_follow_from_the_twin_alone() -> None:
    network, twin = pair()
    assert replacements.macs_before(twin) == sum(layer.macs for layer in network.layers)
    assert replacements.macs_before(network) is None
