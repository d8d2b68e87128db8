"""Each operation as it is written, compiled as TVM made it, beside torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import kernel_cases as kernels
import numpy as np
import pytest
import torch
from torch.nn import functional
from tvm import te

from mbench.compile import computations
from mbench.compile.axis_computations import Laid

Tensors = Sequence[np.ndarray]


def arrays(*shapes: Sequence[int], dtype: str = "float32") -> list[np.ndarray]:
    generator = np.random.default_rng(11)
    return [generator.standard_normal(tuple(shape)).astype(dtype) for shape in shapes]


def computed(write: Callable[..., te.Tensor], given: Tensors) -> np.ndarray:
    read = [te.placeholder(array.shape, str(array.dtype), f"p{number}") for number, array in enumerate(given)]
    result = write(*read)
    shape = tuple(int(extent) for extent in result.shape)
    library = kernels.compiled(te.create_prim_func([*read, result]))
    return kernels.run(library, given, shape, str(result.dtype))


def doubles(given: Tensors) -> list[torch.Tensor]:
    return [torch.from_numpy(array.astype(np.float64)) for array in given]


def check(write: Callable[..., te.Tensor], value: Callable[..., torch.Tensor], given: Tensors) -> None:
    np.testing.assert_allclose(computed(write, given), value(*doubles(given)).numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(2, 4, 5, 6), (1, 4, 5, 6), (2, 1, 1, 6), (1, 1, 1, 1), (6,), (5, 1)])
def test_what_is_read_broadcasts_from_its_last_axes(shape: tuple[int, ...]) -> None:
    def write(x: te.Tensor, other: te.Tensor) -> te.Tensor:
        return computations.chain(x.shape, lambda *at: x(*at) + computations.broadcast(Laid(other), at))

    check(write, torch.add, arrays((2, 4, 5, 6), shape))


def test_one_element_is_read_where_there_are_no_axes() -> None:
    def write(x: te.Tensor) -> te.Tensor:
        return computations.chain((), lambda *at: computations.broadcast(Laid(x), at) * 2)

    check(write, lambda x: x.reshape(()) * 2, arrays((1, 1)))


def test_an_image_may_be_read_as_it_comes() -> None:
    def write(x: te.Tensor, other: te.Tensor) -> te.Tensor:
        return computations.chain(x.shape, lambda *at: x(*at) + computations.broadcast(Laid(other), at, last=True))

    check(write, lambda x, other: x + other.permute(0, 2, 3, 1), arrays((2, 4, 5, 6), (2, 6, 4, 5)))


# ---------------------------------------------------------------------------------------------------- what sums up
def test_sums_are_of_the_type_that_halves_are_summed_in() -> None:
    read = {
        shape: te.placeholder(shape, "float16", "x") for shape in ((2, 5, 5, 4), (3, 3, 4, 6), (3, 4), (4, 5), (4,))
    }
    image, taps, left, right, one = read.values()
    steps: dict[str, Any] = {"strides": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1}
    known = {"kernel": (2, 2), "strides": (1, 1), "padding": (0, 0, 0, 0)}
    wide = [
        computations.convolution(image, taps, **steps),
        computations.linear(left, right),
        computations.product(left, right),
        computations.global_average(image),
        computations.pooling(image, "avg", known, (4, 4)),
        computations.softmax(left, 1),
        computations.layer_norm(left, one, one, [1], 1e-5),
    ]
    assert {str(each.dtype) for each in wide} == {"float32"}
    assert str(computations.pooling(image, "max", known, (4, 4)).dtype) == "float16"


@pytest.mark.parametrize("channels_first", [False, True])
def test_a_mean_over_all_pixels(channels_first: bool) -> None:
    check(
        lambda x: computations.global_average(x, channels_first=channels_first),
        lambda x: x.mean((2, 3) if channels_first else (1, 2)).reshape(2, 1, 1, -1),
        arrays((2, 5, 6, 7)),
    )


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_a_softmax_along_any_axis(axis: int) -> None:
    check(lambda x: computations.softmax(x, axis), lambda x: x.softmax(axis), arrays((3, 4, 5)))


def test_a_softmax_of_large_elements_is_not_infinite() -> None:
    x = arrays((3, 9))[0] * 1000
    np.testing.assert_allclose(
        computed(lambda y: computations.softmax(y, 1), [x]), doubles([x])[0].softmax(1).numpy(), atol=1e-6
    )


def test_a_layer_norm_over_axes_in_the_middle() -> None:
    def value(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        moved = functional.layer_norm(x.permute(0, 2, 1), (4,), weight, bias, 1e-3)
        return moved.permute(0, 2, 1)

    given = arrays((3, 4, 5), (4,), (4,))
    check(lambda x, weight, bias: computations.layer_norm(x, weight, bias, [1], 1e-3), value, given)


# ------------------------------------------------------------------------------------------------------ what is moved
IMAGE = (2, 6, 4, 3)  # as people have it: N, C, H, W
ORDERS = {False: (0, 1, 2, 3), True: (0, 2, 3, 1)}


@pytest.mark.parametrize("to_last", [False, True])
@pytest.mark.parametrize("from_last", [False, True])
@pytest.mark.parametrize("shape", [(2, 72), (2, 9, 8), (2, 3, 4, 6), (2, 8, 3, 3)])
def test_a_reshape_is_in_the_order_of_axes_that_people_have(
    shape: tuple[int, ...], from_last: bool, to_last: bool
) -> None:
    if to_last and len(shape) < 4:
        return
    [x] = arrays(IMAGE)
    lying = np.ascontiguousarray(x.transpose(ORDERS[from_last]))
    output = computed(lambda y: computations.reshaped(y, shape, from_last=from_last, to_last=to_last), [lying])
    expected = x.reshape(shape)
    np.testing.assert_array_equal(output, expected.transpose(ORDERS[True]) if to_last else expected)


@pytest.mark.parametrize("to_last", [False, True])
@pytest.mark.parametrize("from_last", [False, True])
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 3, 2)])
def test_a_permutation_is_of_the_axes_that_people_have(axes: tuple[int, ...], from_last: bool, to_last: bool) -> None:
    [x] = arrays(IMAGE)
    lying = np.ascontiguousarray(x.transpose(ORDERS[from_last]))
    output = computed(lambda y: computations.permuted(y, axes, from_last=from_last, to_last=to_last), [lying])
    expected = x.transpose(axes)
    np.testing.assert_array_equal(output, expected.transpose(ORDERS[True]) if to_last else expected)


def test_an_image_taken_for_one_that_lies_otherwise_is_seen() -> None:
    x = arrays((2, 3, 3, 3))[0]
    expected = x.transpose(0, 2, 3, 1)
    right, wrong = (
        computed(lambda y, last=last: computations.permuted(y, (0, 2, 3, 1), from_last=last, to_last=False), [x])
        for last in (False, True)
    )
    np.testing.assert_array_equal(right, expected)
    assert (wrong != expected).any()
