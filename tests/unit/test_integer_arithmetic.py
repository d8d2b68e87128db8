"""The arithmetic of whole numbers beside exact fractions, torch's own quantisation, and cases worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mbench.networks import integer_arithmetic as exact

floats = st.floats(-(2.0**40), 2.0**40, width=32)


def nearest(value: Fraction, found: np.float32) -> bool:
    """Return whether a float32 is the nearest to a number, and has an even last bit where two are."""
    below, above = (Fraction(float(np.nextafter(found, np.float32(side)))) for side in (-np.inf, np.inf))
    error = abs(Fraction(float(found)) - value)
    others = [abs(each - value) for each in (below, above)]
    return error < min(others) or (error == min(others) and int(found.view(np.int32)) % 2 == 0)


@settings(max_examples=200)
@given(floats, floats, floats)
@example(1.0 + 2.0**-12, 1.0 + 2.0**-12, 2.0**-60)  # half-way between two float32 but for the last addend
@example(1.0 + 2.0**-12, 1.0 + 2.0**-12, -(2.0**-60))
@example(1.0 + 2.0**-12, 1.0 + 2.0**-12, 0.0)
def test_a_fused_multiply_add_is_rounded_once(x: float, y: float, z: float) -> None:
    [found] = exact.fused(np.array([x], np.float32), np.float32(y), np.float32(z))
    assert nearest(Fraction(x) * Fraction(y) + Fraction(z), found)


def test_rounding_twice_would_differ() -> None:
    x = np.array([1.0 + 2.0**-12], np.float32)
    apart = (x.astype(np.float64) * x.astype(np.float64) + 2.0**-60).astype(np.float32)
    assert exact.fused(x, x, np.float32(2.0**-60)) > apart


@pytest.mark.parametrize(
    ("value", "zero_point", "low", "high", "expected"),
    [
        (0.5, 0, 0, 255, 0), (1.5, 0, 0, 255, 2), (2.5, 0, 0, 255, 2), (2.5, 1, 0, 255, 3), (-0.5, 7, 0, 255, 7),
        (300.0, 0, 0, 255, 255), (-300.0, 3, 0, 255, 0), (1e30, 3, 0, 255, 255), (-1e30, 3, 0, 255, 0),
        (np.inf, 3, 0, 255, 255), (-np.inf, 3, 10, 255, 10), (np.nan, 3, 0, 255, 0), (np.nan, 3, 5, 255, 5),
        (9.0, 3, 5, 8, 8), (-9.0, 3, 5, 8, 5), (255.0, 0, 0, 255, 255), (254.5, 0, 0, 255, 254),
    ],
)  # fmt: skip
def test_numbers_settle_on_whole_ones(value: float, zero_point: int, low: int, high: int, expected: int) -> None:
    [found] = exact.settled(np.array([value], np.float32), zero_point, low, high, "uint8")
    assert found == expected


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(("scale", "zero_point"), [(0.0371, 3), (0.5, 0), (2.0**-6, 100), (1.7, 17)])
def test_numbers_are_quantised_as_torch_does(dtype: str, scale: float, zero_point: int) -> None:
    x = np.concatenate([np.random.default_rng(0).normal(0, 3, 4000), np.arange(-40, 40) / 4]).astype(np.float32)
    scale, low, high = float(np.float32(scale)), int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    there = torch.fake_quantize_per_tensor_affine(torch.from_numpy(x), scale, zero_point, low, high)
    found = exact.quantized(x, scale=scale, zero_point=zero_point, dtype=dtype)
    assert np.array_equal(exact.dequantized(found, scale=scale, zero_point=zero_point), there.numpy())


@settings(max_examples=50)
@given(
    sums=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=8),
    multiplier=st.floats(2.0**-30, 8.0, width=32),
    zero_point=st.integers(-128, 127), residual=st.integers(0, 255), share=st.floats(2.0**-10, 4.0, width=32),
)  # fmt: skip
def test_requantised_sums_are_within_a_rounding_of_the_exact_number(
    sums: list[int], multiplier: float, zero_point: int, residual: int, share: float
) -> None:
    given_sums, factor = np.array(sums, np.int32), np.array([multiplier], np.float32)
    result = {"zero_point": zero_point, "low": -128, "high": 127, "dtype": "int8"}
    plain = exact.requantized(given_sums, factor, **result)  # type: ignore[arg-type]
    other = np.full(len(sums), residual, np.uint8)
    with_residual = exact.requantized_sum(
        given_sums,
        factor,
        other,
        residual_multiplier=share,
        residual_zero_point=30,
        **result,  # type: ignore[arg-type]
    )
    for number, one, two in zip(sums, plain, with_residual, strict=True):
        product = float(np.float32(number)) * multiplier
        for found, value in ((one, product), (two, product + (residual - 30) * share)):
            if -128 < value + zero_point < 127:
                assert abs(int(found) - zero_point - value) <= 0.5 + 2e-4
            else:
                assert abs(int(found) - np.clip(value + zero_point, -128, 127)) <= 1


def test_a_residual_is_rounded_once() -> None:
    """0.4 + 0.4 is 1, where each would be 0 by itself."""
    found = exact.requantized_sum(
        np.array([4], np.int32), np.array([0.1], np.float32), np.array([14], np.uint8), residual_multiplier=0.1,
        residual_zero_point=10, zero_point=0, low=0, high=255, dtype="uint8",
    )  # fmt: skip
    assert found == 1


def test_sums_of_two_values() -> None:
    x, y = np.arange(256, dtype=np.uint8), np.arange(-128, 128).astype(np.int8)
    found = exact.added(
        x, y, multipliers=(0.5, -0.25), zero_points=(10, -3), zero_point=7, low=0, high=200, dtype="uint8"
    )
    expected = np.clip(np.rint(0.5 * (x.astype(float) - 10) - 0.25 * (y.astype(float) + 3) + 7), 0, 200)
    assert np.array_equal(found, expected)  # binary fractions: all of it is exact


@pytest.mark.parametrize(("zero_point", "expected"), [(0, [0, 2, 2]), (1, [2, 2, 4]), (250, [250, 252, 252])])
def test_a_half_is_rounded_to_an_even_number_with_the_zero_point(zero_point: int, expected: list[int]) -> None:
    sums, result = np.array([1, 3, 5], np.int32), {"zero_point": zero_point, "low": 0, "high": 252, "dtype": "uint8"}
    found = exact.requantized_shifted(sums, np.float32([0.5]), **result)  # type: ignore[arg-type]
    assert found.tolist() == expected
    far = exact.requantized_shifted(np.array([-(2**31), 2**31 - 1], np.int32), np.float32([1e30]), **result)  # type: ignore[arg-type]
    assert far.tolist() == [0, 252]


def test_numbers_times_constants() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(2, 128)
    multiplier, offset = np.array([[0.5], [2.0]], np.float32), np.array([[-3.0], [1.5]], np.float32)
    found = exact.scaled_and_shifted(x, multiplier, offset, zero_point=2, low=1, high=254, dtype="uint8")
    assert np.array_equal(found, np.clip(np.rint(x * multiplier.astype(float) + offset) + 2, 1, 254))


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_tables_begin_at_the_smallest_number(dtype: str) -> None:
    low = int(np.iinfo(dtype).min)
    table = np.arange(256)[::-1].astype(np.uint8)
    numbers = np.array([low, low + 1, low + 255]).astype(dtype)
    assert exact.looked_up(numbers, table).tolist() == [255, 254, 0]
