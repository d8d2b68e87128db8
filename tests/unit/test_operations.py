"""Shapes and multiply-adds of operations, beside torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from mbench.networks import operations
from mbench.networks.graph import GraphError


def shape_of(op: str, *shapes: tuple[int, ...], **attributes: Any) -> tuple[int, ...]:
    return operations.of(op).shape(shapes, attributes)


sides = st.integers(1, 9)


@given(
    height=st.integers(5, 12), width=st.integers(5, 12), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)), padding=st.tuples(*[st.integers(0, 2)] * 2),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)), groups=st.sampled_from([1, 2, 6]),
)  # fmt: skip
def test_a_convolution_has_torchs_shape_and_multiply_adds(
    height: int, width: int, kernel: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int],
    dilation: tuple[int, int], groups: int,
) -> None:  # fmt: skip
    image, weight = (2, 6, height, width), (12, 6 // groups, *kernel)
    attributes = {"strides": strides, "padding": (*padding, *padding), "dilation": dilation, "groups": groups}
    try:
        with FlopCounterMode(display=False) as counter:
            expected = functional.conv2d(
                torch.zeros(image), torch.zeros(weight), None, strides, padding, dilation, groups
            )
    except RuntimeError:  # the kernel is larger than the padded image
        with pytest.raises(GraphError, match="a window of"):
            shape_of("conv2d", image, weight, **attributes)
        return
    found = shape_of("conv2d", image, weight, **attributes)
    assert found == tuple(expected.shape)
    assert 2 * operations.of("conv2d").macs((image, weight), found) == counter.get_total_flops()


@given(
    height=st.integers(3, 12), width=st.integers(3, 12), kernel=st.integers(1, 3), stride=st.integers(1, 3),
    up=st.booleans(),
)  # fmt: skip
def test_pools_have_torchs_shape(height: int, width: int, kernel: int, stride: int, up: bool) -> None:
    expected = functional.max_pool2d(torch.zeros(1, 2, height, width), kernel, stride, ceil_mode=up)
    attributes = {"kernel": (kernel,) * 2, "strides": (stride,) * 2, "padding": (0,) * 4, "ceil_mode": up}
    assert shape_of("max_pool2d", (1, 2, height, width), **attributes) == tuple(expected.shape)


@pytest.mark.parametrize(
    ("left", "right"),
    [((4, 5), (5, 6)), ((2, 3, 4, 5), (2, 3, 5, 6)), ((2, 3, 4, 5), (2, 1, 5, 6)), ((3, 4, 5), (5, 6))],
)
def test_products_have_torchs_shape_and_multiply_adds(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    with FlopCounterMode(display=False) as counter:
        expected = torch.zeros(left) @ torch.zeros(right)
    found = shape_of("matmul", left, right)
    assert found == tuple(expected.shape)
    assert 2 * operations.of("matmul").macs((left, right), found) == counter.get_total_flops()


@given(shapes=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), min_size=2, max_size=2))
def test_what_broadcasts_has_torchs_shape(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        with pytest.raises(GraphError, match="do not broadcast"):
            shape_of("add", *shapes)
        return
    assert shape_of("add", *shapes) == expected


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "expected"),
    [
        ("reshape", [(2, 6)], {"shape": (3, 4)}, (3, 4)),
        ("permute", [(2, 3, 4)], {"axes": (2, 0, 1)}, (4, 2, 3)),
        ("concat", [(1, 2, 4), (1, 3, 4)], {"axis": 1}, (1, 5, 4)),
        ("slice", [(1, 8, 4)], {"axis": 1, "begin": 2, "end": 5}, (1, 3, 4)),
        ("slice", [(1, 8, 4)], {"axis": -1, "begin": 2, "end": 4}, (1, 8, 2)),
        ("concat", [(1, 2, 4), (1, 2, 3)], {"axis": -1}, (1, 2, 7)),
        ("global_avg_pool", [(2, 8, 7, 7)], {}, (2, 8, 1, 1)),
        ("linear", [(2, 8), (10, 8)], {}, (2, 10)),
        ("softmax", [(2, 8)], {"axis": 1}, (2, 8)),
    ],
)
def test_other_shapes(
    op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], expected: tuple[int, ...]
) -> None:
    assert shape_of(op, *shapes, **attributes) == expected


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "said"),
    [
        ("convolution3d", [(1,)], {}, "operation 'convolution3d' is not known; expected one of: conv2d"),
        ("linear", [(2, 8), (10, 9)], {}, "a fully connected layer of 9 inputs cannot read"),
        ("matmul", [(2, 8), (9, 2)], {}, "a matrix product of"),
        ("reshape", [(2, 8)], {"shape": (3, 5)}, r"\(2, 8\) cannot be reshaped to \(3, 5\)"),
        ("conv2d", [(1, 6, 4, 4), (4, 6, 1, 1)], {"groups": 2}, "a convolution of 6 channels in 2 groups"),
        ("concat", [(1, 6, 4), (1, 6, 5)], {"axis": 1}, "cannot lie beside each other along axis 1"),
        ("slice", [(1, 8, 4)], {"axis": 1, "begin": 6, "end": 20}, "no part from 6 to 20 of axis 1"),
        ("slice", [(1, 8, 4)], {"axis": 1, "begin": 6, "end": 6}, "no part from 6 to 6 of axis 1"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], said: str
) -> None:
    with pytest.raises(GraphError, match=said):
        shape_of(op, *shapes, **attributes)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "said"),
    [
        ("power", ("int64", "int64"), {}, "floating-point numbers alone, and this is of int64"),
        ("resize2d", ("uint8",), {"mode": "cubic"}, "floating-point numbers alone, and this is of uint8"),
        ("add", ("bool", "bool"), {}, "add is computed of numbers alone"),
    ],
)
def test_types_that_no_kernel_is_for_are_refused(
    op: str, inputs: tuple[str, ...], attributes: dict[str, Any], said: str
) -> None:
    with pytest.raises(GraphError, match=said):
        operations.check_types(op, inputs, attributes)
    operations.check_types(op, ("float32",) * len(inputs), attributes)
    operations.check_types("resize2d", ("uint8",), {"mode": "nearest"})
    operations.check_types("where", ("bool", "int64", "int64"), {})
