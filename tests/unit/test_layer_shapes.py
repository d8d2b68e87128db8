from __future__ import annotations

import record_factory

from mbench.fitting import layer_shapes
from mbench.networks import architectures, variants


def test_a_layer_that_was_recorded_meets_the_one_that_is_planned() -> None:
    name = "mobilenet_v2_0.5_96"
    [result] = record_factory.record([name]).results
    planned = [layer_shapes.of_layer(spec, "float32") for spec in architectures.layers(variants.parse(name))]
    assert [layer_shapes.of_layer(layer, "float32") for layer in result.layers] == planned


def test_features_are_finite_for_layers_without_weights_or_work() -> None:
    specs = architectures.layers(variants.parse("mobilenet_v3_small_1.0_32"))
    shapes = [layer_shapes.of_layer(spec, "int8") for spec in specs]
    assert {len(shape.features) for shape in shapes} == {10}
    assert all(abs(feature) < 100 for shape in shapes for feature in shape.features)
