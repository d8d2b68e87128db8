"""Parts that blocks of a family are made of: nodes and parameters that each writes."""

from __future__ import annotations

import dataclasses

import pytest

from mbench.networks.block_words import Word
from mbench.networks.family import Family, divisible, of_input
from mbench.networks.family_writer import FamilyWriter

FAMILY = Family(blocks="", activation="hard_swish", channels=divisible, norm_epsilon=1e-3)
WORD = Word(text="", kind="ir", channels=40)


def started(family: Family = FAMILY, width: float = 1.0) -> tuple[FamilyWriter, str]:
    """Return a writer, and an image of 16 channels in it."""
    writer = FamilyWriter(family, width, "float32")
    return writer, writer.builder.input("image", (2, 16, 8, 8))


def test_channels_and_activation_are_the_words_at_the_familys_rule() -> None:
    writer, _ = started(width=0.5)
    assert writer.channels(WORD) == 24
    assert writer.activation(WORD) == "hard_swish"
    assert writer.activation(dataclasses.replace(WORD, activation="relu")) == "relu"


def test_a_convolution_has_the_familys_batch_norm_and_no_bias() -> None:
    writer, x = started()
    graph = writer.builder.graph(writer.convolution("conv", x, 8, role="stem", kernel=3, stride=2, activation="relu"))
    assert [(node.name, node.op) for node in graph.nodes] == [
        ("conv", "conv2d"), ("conv.norm", "batch_norm"), ("conv.relu", "relu")
    ]  # fmt: skip
    assert graph.by_name["conv.norm"].attributes["epsilon"] == 1e-3
    assert "conv.bias" not in graph.parameters


def test_a_bias_stands_in_the_place_of_batch_norm() -> None:
    writer, x = started()
    graph = writer.builder.graph(writer.with_bias("conv", x, 8, role="head", activation="relu"))
    assert [node.op for node in graph.nodes] == ["conv2d", "relu"]
    assert graph.parameters["conv.bias"].shape == (8,)


@pytest.mark.parametrize(
    ("family", "inside", "gate"),
    [(FAMILY, 8, "hard_sigmoid"), (dataclasses.replace(FAMILY, squeezed=of_input, gate="sigmoid"), 4, "sigmoid")],
)
def test_squeeze_excite_is_a_gate_for_each_channel(family: Family, inside: int, gate: str) -> None:
    writer, x = started(family)
    graph = writer.builder.graph(writer.squeeze_excite(dataclasses.replace(WORD, squeeze=0.25), x))
    assert [(node.name, node.op, node.shape) for node in graph.nodes] == [
        ("se.squeeze", "global_avg_pool", (2, 16, 1, 1)),
        ("se.reduce", "conv2d", (2, inside, 1, 1)),
        ("se.reduce.relu", "relu", (2, inside, 1, 1)),
        ("se.excite", "conv2d", (2, 16, 1, 1)),
        (f"se.excite.{gate}", gate, (2, 16, 1, 1)),
        ("se.scale", "multiply", (2, 16, 8, 8)),
    ]
    assert graph.by_name["se.scale"].inputs == ("image", f"se.excite.{gate}")


def test_a_word_without_squeeze_excite_writes_none() -> None:
    writer, x = started()
    assert writer.squeeze_excite(WORD, x) == x


def test_layer_scale_is_one_number_a_channel_where_the_family_has_it() -> None:
    writer, x = started()
    assert writer.layer_scale(x) == x
    writer, x = started(dataclasses.replace(FAMILY, layer_scale=True))
    graph = writer.builder.graph(writer.layer_scale(x))
    assert graph.parameters["layer_scale.weight"].shape == (1, 16, 1, 1)


@pytest.mark.parametrize(
    ("changes", "channels", "expected"),
    [({}, 16, "add"), ({}, 24, "y"), ({"stride": 2}, 16, "y"), ({"skips": False}, 16, "y")],
)
def test_a_residual_where_shapes_stride_and_word_allow(changes: dict[str, int], channels: int, expected: str) -> None:
    writer, x = started()
    y = writer.bare("y", x, channels, role="project")
    assert writer.residual(dataclasses.replace(WORD, **changes), x, y) == expected  # type: ignore[arg-type]
