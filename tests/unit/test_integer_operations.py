"""What operations on whole numbers mean, beside loops over Python's integers and torch's own convolutions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from one_operation import value
from torch.nn import functional

from mbench.networks import integer_operations, operations

CONVOLUTION: dict[str, Any] = {"strides": (2, 1), "padding": (1, 0, 2, 1), "dilation": (1, 2), "groups": 2}


def whole(*shape: int, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    known = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(known.min, known.max, shape, endpoint=True).astype(dtype)


def convolved(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, zero_point: int, known: dict[str, Any]
) -> np.ndarray:
    """Convolve one image by loops."""
    top, left, bottom, right = known["padding"]
    centred = np.pad(x[0].astype(int) - zero_point, ((0, 0), (top, bottom), (left, right)))
    outputs, inputs, height, width = weight.shape
    (down, across), (apart, aside) = known["strides"], known["dilation"]
    rows = (centred.shape[1] - (height - 1) * apart - 1) // down + 1
    columns = (centred.shape[2] - (width - 1) * aside - 1) // across + 1
    found = np.zeros((1, outputs, rows, columns), int)
    for o, i, j in itertools.product(range(outputs), range(rows), range(columns)):
        first = o // (outputs // known["groups"]) * inputs
        window = centred[first : first + inputs, i * down :: apart, j * across :: aside][:, :height, :width]
        found[0, o, i, j] = int((window * weight[o].astype(int)).sum()) + int(bias[o])
    return found


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_convolutions_are_exact_sums(dtype: str) -> None:
    x, weight = whole(1, 4, 6, 7, dtype=dtype), whole(6, 2, 3, 2, dtype="int8", seed=1)
    weight[0] = -128
    bias, zero = np.array([2**30, -(2**30), 5, 0, -1, 7], np.int32), int(np.iinfo(dtype).max)
    found = value("conv2d", x, weight, bias, zero_point=zero, **CONVOLUTION)
    assert np.array_equal(found, convolved(x, weight, bias, zero, CONVOLUTION))


def test_transposed_convolutions_are_exact_sums() -> None:
    x, weight = whole(1, 4, 5, 3), whole(4, 3, 3, 2, dtype="int8", seed=1)
    attributes: dict[str, Any] = {
        "strides": (2, 1), "padding": (1, 0, 1, 0), "dilation": (1, 1), "groups": 2, "output_padding": (1, 0),
    }  # fmt: skip
    centred, real = torch.from_numpy(x.astype(np.int64) - 9), torch.from_numpy(weight.astype(np.int64))
    there = functional.conv_transpose2d(centred, real, None, (2, 1), (1, 0), (1, 0), 2)  # torch has it of int64 too
    assert np.array_equal(value("conv2d_transpose", x, weight, zero_point=9, **attributes), there.numpy())


def test_matrices_are_exact_sums() -> None:
    x, y = whole(2, 3, 5), whole(2, 5, 4, dtype="int8", seed=1)
    expected = (x.astype(int) - 200) @ (y.astype(int) + 7)
    assert np.array_equal(value("matmul", x, y, zero_point=200, other_zero_point=-7), expected)
    weight, bias = whole(4, 5, dtype="int8"), np.arange(4, dtype=np.int32)
    expected = (x.astype(int) - 200) @ weight.astype(int).T + bias
    assert np.array_equal(value("linear", x, weight, bias, zero_point=200), expected)


def test_multiplications_of_two_values_are_exact() -> None:
    x, gate = whole(2, 3, 4, 4), whole(2, 3, 1, 1, seed=1)
    found = value("quantized_multiply", x, gate, zero_point=255, other_zero_point=1)
    assert np.array_equal(found, (x.astype(int) - 255) * (gate.astype(int) - 1))


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 2, 1, 0)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_sums_of_windows(padding: tuple[int, ...], ceil_mode: bool) -> None:
    x, known = whole(1, 2, 6, 7), {"kernel": (3, 2), "strides": (2, 2), "padding": padding, "ceil_mode": ceil_mode}
    found = value("sum_pool2d", x, zero_point=11, **known)
    top, left, _, _ = padding
    for i, j in itertools.product(range(found.shape[2]), range(found.shape[3])):
        rows, columns = (slice(max(2 * at - before, 0), max(2 * at - before + size, 0))
                         for at, before, size in ((i, top, 3), (j, left, 2)))  # fmt: skip
        assert np.array_equal(found[:, :, i, j], (x[:, :, rows, columns].astype(int) - 11).sum((2, 3)))


def test_sums_of_images() -> None:
    x = whole(2, 3, 300, 300)
    expected = (x.astype(int) - 3).sum((2, 3), keepdims=True)
    assert np.array_equal(value("global_sum_pool", x, zero_point=3), expected)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_what_passes_numbers_on_takes_whole_ones(dtype: str) -> None:
    x = whole(1, 2, 5, 5, dtype=dtype)
    found = value("max_pool2d", x, kernel=(3, 3), strides=(2, 2), padding=(1, 1, 1, 1))
    padded = np.pad(x.astype(int), ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-999)
    assert found[0, 0, 1, 2] == padded[0, 0, 2:5, 4:7].max()
    assert value("pad", x, widths=((0, 0), (0, 0), (1, 0), (0, 2)), mode="constant", value=7)[0, 1, 0, 0] == 7
    assert np.array_equal(value("resize2d", x, size=(10, 10), mode="nearest")[..., ::2, ::2], x)


def test_sums_become_floats_by_channel() -> None:
    sums, scale = np.array([[5, -7], [2**24 + 1, 0]], np.int32), np.array([0.5, 0.25], np.float32)
    assert np.array_equal(value("dequantize", sums, scale), np.array([[2.5, -1.75], [2.0**23, 0]], np.float32))


def test_the_image_alone_is_rounded_by_attributes() -> None:
    x = np.array([[0.24, 0.26, 9.0, -9.0]], np.float32)
    found = value("quantize", x, scale=0.5, zero_point=-3, to="int8")
    assert found.tolist() == [[-3, -2, 15, -21]]
    assert value("dequantize", found, scale=0.5, zero_point=-3).tolist() == [[0.0, 0.5, 9.0, -9.0]]


def test_every_operation_of_quantised_networks_has_a_meaning() -> None:
    meanings = integer_operations.with_windows(lambda _node, x: x)
    assert meanings.keys() == operations.ONLY_QUANTIZED.keys()
