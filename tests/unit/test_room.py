from __future__ import annotations

import dataclasses
import math

import pytest

from mbench.networks import architectures, variants
from mbench.networks.layers import LayerSpec
from mbench.pipeline import room

GB = 10**9


def test_a_network_that_fits_is_not_refused() -> None:
    assert room.refused([variants.parse("mobilenet_v1_1.0_224"), variants.parse("mobilenet_v2_1.0_224")], 2 * GB) == {}


def test_weights_and_activations_decide() -> None:
    """Oracle: arXiv:1704.04861, table 4: 4.2 million parameters and 29.3 million of the network with standard ones."""
    network, twin = variants.parse("mobilenet_v1_1.0_224"), variants.parse("mobilenet_v1_1.0_224_standard")
    weights = room.BUILD_COPIES * 4 * 29_300_000
    assert room.refused([network, twin], int(1.03 * weights)) == {}
    refused = room.refused([network, twin], int(0.99 * weights))
    assert list(refused) == [twin.name]
    failure = refused[twin.name]
    assert (failure.variant, failure.stage) == (twin.name, "planning")
    assert "too large for this machine: building needs at least 942 MB of memory (8 copies of 117 MB" in failure.reason
    assert "\n" not in failure.reason


@pytest.mark.parametrize("batch", [1, 65_536])
def test_a_large_batch_is_refused_before_anything_is_built(batch: int) -> None:
    variant = variants.parse("mobilenet_v1_1.0_4096", batch=batch)
    assert bool(room.refused([variant], 20 * GB)) == (batch > 1)


@pytest.mark.parametrize(
    ("name", "elements"),
    [
        ("mobilenet_v1_1.0_224", (32 + 64) * 112**2),  # block1.pw
        ("mobilenet_v2_1.0_224", 96 * 112**2 + 96 * 56**2),  # block2.dw, of stride 2
        ("mobilenet_v2_1.0_224_b2", 2 * (96 * 112**2 + 96 * 56**2)),
    ],
)
def test_activations_are_those_of_the_layer_with_most_alive(name: str, elements: int) -> None:
    specs = architectures.layers(variants.parse(name))
    assert room.activation_bytes(specs, "float32") == 4 * elements
    assert room.activation_bytes(specs, "float16") == 2 * elements


def test_a_residual_counts_while_its_block_runs() -> None:
    """At 7x7 MobileNetV2 keeps 160 channels across the expansion to 960: more than the expansion's own input."""
    specs = architectures.layers(variants.parse("mobilenet_v2_1.0_224"))
    block = [spec for spec in specs if spec.block == "block15"]
    assert [spec.role for spec in block] == ["expand", "depthwise", "project"]
    stem = [spec for spec in specs if spec.name == block[0].inputs[0]]
    alive = room.activation_bytes([_as_first(stem[0]), *block], "float32")
    assert alive == 4 * math.prod((7, 7)) * (160 + 960 + 960)


def _as_first(spec: LayerSpec) -> LayerSpec:
    return dataclasses.replace(spec, inputs=(), input_shape=(1, 1, 1, 1))


def test_what_is_built_already_holds_its_weights_once() -> None:
    """Oracle as above: 29.3 million parameters of 4 bytes; the activations are at most 3 % of these."""
    twin = variants.parse("mobilenet_v1_1.0_224_standard")
    assert room.refused([twin], int(1.1 * 4 * 29_300_000), {twin.name}) == {}
    [failure] = room.refused([twin], 4 * 29_000_000, {twin.name}).values()
    assert "too large for this machine: running needs at least" in failure.reason
    assert "(1 copy of 117 MB of weights" in failure.reason
