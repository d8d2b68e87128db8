"""Bytes as float32: how large multiplied ones are, and their weights; rules that use them have their own tests."""

from __future__ import annotations

import byte_layers as layers
import kernel_cases as kernels
import numpy as np
import pytest
from byte_layers import ByteConv

from mbench.compile.kernel import Kernel
from mbench.compile.schedules.cpu import exact_floats


@pytest.mark.parametrize(
    ("dtype", "zero", "other", "expected"),
    [
        ("uint8", 0, 0, 255 * 128),
        ("uint8", 200, 0, 200 * 128),
        ("int8", -128, -128, 255 * 255),
        ("int8", 0, 127, 128 * 255),
    ],
)
def test_the_largest_that_is_multiplied(dtype: str, zero: int, other: int, expected: int) -> None:
    layer = ByteConv(dtype=dtype, zero_point=zero, other_zero_point=other, bias=False)
    assert exact_floats.reach(layers.sums_of(layer)) == expected


def test_floats_are_not_multiplied_so() -> None:
    assert exact_floats.reach(Kernel(kernels.Conv().function())) is None


def test_weights_are_packed_without_their_zero_point() -> None:
    kernel = layers.sums_of(ByteConv(other_zero_point=-128))
    packed = exact_floats.packing(kernel, np.ravel)(np.array([[-128, 127]], np.int8))
    assert (packed.dtype, packed.tolist()) == (np.dtype("float32"), [0.0, 255.0])
