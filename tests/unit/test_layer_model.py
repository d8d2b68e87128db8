from __future__ import annotations

import math

import numpy as np
import pytest

from mbench.fitting import layer_shapes
from mbench.fitting.layer_model import LayerModel, SeenLayer
from mbench.fitting.layer_shapes import LayerShape
from mbench.networks.layers import LayerSpec

NOISE = 0.01


def pointwise(inputs: int, outputs: int, side: int) -> LayerShape:
    spec = LayerSpec(
        name="x", block=None, role="pointwise", op="pointwise_conv2d", operations=("conv2d", "relu6"),
        input_shape=(1, inputs, side, side), output_shape=(1, outputs, side, side), kernel_size=(1, 1), stride=(1, 1),
        groups=1, macs=inputs * outputs * side**2, params=inputs * outputs,
    )  # fmt: skip
    return layer_shapes.of_layer(spec, "float32")


def time_of(shape: LayerShape) -> float:
    """Work at a rate that falls with few channels, and a start."""
    inputs = math.exp(shape.features[4])
    return shape.macs / (1e10 * inputs / (inputs + 16)) + 2e-6


GRID = [pointwise(i, o, side) for i in (16, 32, 64, 128, 256) for o in (32, 96, 256) for side in (7, 14, 28)]


def model(shapes: list[LayerShape]) -> LayerModel:
    return LayerModel([SeenLayer(shape=each, cost=time_of(each)) for each in shapes], NOISE)


def test_a_shape_between_those_that_were_seen_is_predicted() -> None:
    found = model(GRID)
    for shape in (pointwise(48, 64, 10), pointwise(96, 128, 20), pointwise(200, 48, 14)):
        predicted = found.predict([shape])
        assert math.exp(predicted.log_mean[0]) == pytest.approx(time_of(shape), rel=0.05)


def test_a_shape_that_was_seen_has_what_it_was_seen_to_cost_though_it_is_odd() -> None:
    odd = pointwise(64, 100, 14)
    seen = [SeenLayer(shape=each, cost=time_of(each)) for each in GRID] + [
        SeenLayer(shape=odd, cost=1.4 * time_of(odd))
    ] * 3
    found = LayerModel(seen, NOISE)
    assert math.exp(found.predict([odd]).log_mean[0]) == pytest.approx(1.4 * time_of(odd), rel=0.03)


def test_it_knows_less_of_what_is_far_from_all_that_was_seen() -> None:
    found = model(GRID)
    near, far = (float(found.predict([shape]).log_covariance[0, 0]) for shape in (GRID[7], pointwise(8, 2048, 112)))
    assert near < far


def test_equal_shapes_are_one_and_their_costs_are_averaged() -> None:
    shape = GRID[0]
    found = LayerModel([SeenLayer(shape=shape, cost=1e-4), SeenLayer(shape=shape, cost=4e-4)], NOISE)
    assert math.exp(found.predict([shape]).log_mean[0]) == pytest.approx(2e-4, rel=1e-6)


def test_a_layer_that_comes_twice_varies_with_itself() -> None:
    predicted = model(GRID).predict([pointwise(48, 64, 10)] * 2)
    assert np.allclose(predicted.log_covariance, predicted.log_covariance[0, 0], rtol=1e-6)


def test_the_same_kernel_in_another_network_has_the_same_key_and_another_type_has_not() -> None:
    assert pointwise(32, 64, 14).key == pointwise(32, 64, 14).key
    spec = LayerSpec(
        name="y", block="b", role="expand", op="pointwise_conv2d", operations=("conv2d", "relu6"),
        input_shape=(1, 32, 14, 14), output_shape=(1, 64, 14, 14), kernel_size=(1, 1), stride=(1, 1), groups=1,
        macs=32 * 64 * 196, params=2048,
    )  # fmt: skip
    assert layer_shapes.of_layer(spec, "float32").key == pointwise(32, 64, 14).key
    assert layer_shapes.of_layer(spec, "int8").key != pointwise(32, 64, 14).key


def test_a_shape_to_which_the_fitted_rates_give_nothing_still_has_a_cost() -> None:
    """Where all costs follow the multiply-adds, the rates of bytes and of calls are 0."""
    seen = [SeenLayer(shape=each, cost=each.macs / 1e10) for each in GRID[::5]]
    nothing = GRID[0]._replace(macs=0, key=("nothing",))
    with np.errstate(all="raise"):
        [found] = LayerModel(seen, NOISE).predict([nothing]).log_mean
    assert math.isfinite(found)
    also = LayerModel([*seen, SeenLayer(shape=nothing, cost=1e-6)], NOISE).predict([nothing])
    assert math.exp(also.log_mean[0]) == pytest.approx(1e-6, rel=0.3)
