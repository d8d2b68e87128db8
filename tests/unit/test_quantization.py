"""Scales and zero points: ranges are covered, 0 is exact, and no channel has a scale that cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mbench.networks import quantization
from mbench.networks.graph import GraphError
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.quantization import Quantization

ends = st.floats(-1e6, 1e6, width=32)


@settings(max_examples=100)
@given(ends, ends, st.sampled_from(quantization.DTYPES))
@example(0.0, 0.0, "uint8")
@example(1e-40, 1e-40, "int8")
@example(3.0, 3.0, "uint8")
@example(-3.0, -3.0, "int8")
def test_a_range_is_covered_and_zero_is_exact(one: float, other: float, dtype: str) -> None:
    low, high = sorted((one, other))
    found = quantization.of_range((low, high), dtype)
    first, last = found.limits
    assert found.real(np.array([found.zero_point])) == 0.0
    assert found.scale == float(np.float32(found.scale))
    assert found.real(np.array([first]))[0] <= min(low, 0) + 0.51 * found.scale
    assert found.real(np.array([last]))[0] >= max(high, 0) - 0.51 * found.scale
    assert found.scale <= max((max(high, 0) - min(low, 0)) / 255 * 1.0001, 2.0**-60) or low == high == 0


@pytest.mark.parametrize(
    ("scale", "zero_point", "dtype", "said"),
    [
        (0.0, 0, "uint8", "scale 0 of a quantised value cannot be"),
        (-1.0, 0, "uint8", "scale -1 of a quantised value cannot be"),
        (float("nan"), 0, "uint8", "scale nan"),
        (float("inf"), 0, "uint8", "scale inf"),
        (0.1, 256, "uint8", "zero point 256 is no uint8; expected 0 to 255"),
        (0.1, -1, "uint8", "zero point -1 is no uint8"),
        (0.1, 128, "int8", "zero point 128 is no int8; expected -128 to 127"),
        (0.1, 0, "int16", "values of int16 are not supported; expected uint8 or int8"),
    ],
)
def test_a_quantisation_that_cannot_be(scale: float, zero_point: int, dtype: str, said: str) -> None:
    with pytest.raises(GraphError, match=said):
        Quantization(scale=scale, zero_point=zero_point, dtype=dtype)


scales = st.floats(2.0**-20, 2.0**3, width=32)


@settings(max_examples=100)
@given(scales, scales, scales, st.integers(1, 10_000))
def test_multipliers_are_float32_at_every_step(x: float, weight: float, result: float, parts: int) -> None:
    unit = quantization.sum_scale(x, np.array([weight], np.float32))
    assert unit.dtype == quantization.multiplier(unit, result).dtype == np.float32
    exact = np.float32(float(np.float32(x * weight)) / result)
    assert quantization.multiplier(unit, result) == exact
    below = float(np.float32(result * parts))
    assert quantization.multiplier(np.float32(x), result, float(parts)) == np.float32(x / below)


def test_a_product_of_scales_that_is_rounded_once_is_another() -> None:
    x, weight, result = (float(np.float32(each)) for each in (0.013, 0.0071, 0.037))
    weights = np.linspace(weight, 2 * weight, 1000, dtype=np.float32)
    found = quantization.multiplier(quantization.sum_scale(x, weights), result)
    once = (x * weights.astype(float) / result).astype(np.float32)
    assert 0 < np.count_nonzero(found != once) < 500
    assert np.abs(found / once - 1).max() < 2.0**-22


@pytest.mark.parametrize("zero_point", [0, 255])
def test_zero_points_at_both_ends(zero_point: int) -> None:
    known = Quantization(scale=0.5, zero_point=zero_point)
    assert known.whole(0.0) == zero_point
    assert known.reach == 255
    assert (known.whole(-np.inf), known.whole(np.inf)) == (0, 255)
    assert known.holds(0.0)
    assert known.holds(10.0) is (zero_point == 0)
    assert known.holds(-10.0) is (zero_point == 255)


def test_halves_go_to_even_before_the_zero_point() -> None:
    known = Quantization(scale=1.0, zero_point=3)
    assert [known.whole(number) for number in (0.5, 1.5, 2.5)] == [3, 5, 5]


def test_scales_of_weights() -> None:
    weight = np.array([[1.27, -0.5], [0.0, 0.0], [1e-30, 0.0], [-2.54, 1.0]], np.float32)
    scales = quantization.weight_scales(weight)
    assert scales == pytest.approx([0.01, 1.0, 2.0**-60, 0.02])
    assert quantization.whole_weights(weight, scales).tolist() == [[127, -50], [0, 0], [0, 0], [-127, 50]]
    assert np.abs(quantization.whole_weights(weight, quantization.weight_scales(weight, largest=63))).max() == 63


def test_a_bias_that_is_large_beside_its_weights_fits_into_32_bits() -> None:
    weight, bias = np.array([[1e-20], [0.0], [1.0]], np.float32), np.array([5.0, -3e8, 2.0], np.float32)
    scales = quantization.weight_scales(weight, bias=bias, input_scale=0.25)
    whole = quantization.whole_bias(bias, scales.astype(np.float64) * 0.25)
    assert np.abs(whole).max() <= 2**30 + 2**7
    assert whole * scales.astype(np.float64) * 0.25 == pytest.approx(bias, rel=1e-6)
    assert scales[2] == np.float32(1 / 127)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_output_channels_of_a_transposed_convolution_come_first(groups: int) -> None:
    weight = np.random.default_rng(0).random((8, 3, 2, 5))
    first = quantization.channels_first("conv2d_transpose", weight, groups)
    assert first.shape == (3 * groups, 8 // groups, 2, 5)
    assert np.array_equal(first[3 * (groups - 1) + 2, 1], weight[8 // groups * (groups - 1) + 1, 2])
    assert np.array_equal(quantization.as_stored("conv2d_transpose", first, groups), weight)
    assert quantization.channels_first("conv2d", weight, groups) is weight


def test_what_a_value_stands_for_is_that_of_what_it_was_made_of() -> None:
    builder = GraphBuilder()
    x = builder.add("quantize", "q", builder.input("x", (2, 6)), scale=0.5, zero_point=3, to="int8")
    y = builder.add("reshape", "r", x, shape=(3, 4))
    graph = builder.graph(builder.add("dequantize", "d", y, scale=0.5, zero_point=3))
    assert quantization.of_value(graph, "r") == Quantization(scale=0.5, zero_point=3, dtype="int8")
    for name in ("x", "d"):
        with pytest.raises(GraphError, match=f"'{name}' is no value of 8 bits"):
            quantization.of_value(graph, name)
