"""Shapes of the operations that users' files have, beside torch's and numpy's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from mbench.networks import operations
from mbench.networks.graph import GraphError
from mbench.networks.operation_shapes import places_of_slice

pairs = st.tuples(st.integers(0, 2), st.integers(0, 2))


def shape_of(op: str, *shapes: tuple[int, ...], **attributes: Any) -> tuple[int, ...]:
    return operations.of(op).shape(shapes, attributes)


@given(
    height=st.integers(1, 7), width=st.integers(1, 7), kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)), padding=pairs, added=pairs,
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)), groups=st.sampled_from([1, 2, 6]),
)  # fmt: skip
def test_a_transposed_convolution_has_torchs_shape_and_multiply_adds(
    height: int, width: int, kernel: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int],
    added: tuple[int, int], dilation: tuple[int, int], groups: int,
) -> None:  # fmt: skip
    image, weight = (2, 6, height, width), (6, 12 // groups, *kernel)
    attributes = {"strides": strides, "padding": (*padding, *padding), "dilation": dilation, "groups": groups,
                  "output_padding": added}  # fmt: skip
    try:
        with FlopCounterMode(display=False) as counter:
            expected = functional.conv_transpose2d(
                torch.zeros(image), torch.zeros(weight), None, strides, padding, added, groups, dilation
            )
    except RuntimeError as error:
        if "output padding must be smaller" in str(error):  # a rule of torch's alone
            return
        expected = torch.zeros(0)
    if not expected.numel():
        with pytest.raises(GraphError, match="leaves nothing"):
            shape_of("conv2d_transpose", image, weight, **attributes)
        return
    found = shape_of("conv2d_transpose", image, weight, **attributes)
    assert found == tuple(expected.shape)
    assert 2 * operations.of("conv2d_transpose").macs((image, weight), found) == counter.get_total_flops()


@given(extent=st.integers(1, 8), begin=st.integers(0, 9), end=st.none() | st.integers(0, 9), step=st.integers(-3, 3))
def test_a_slice_takes_the_places_that_numpy_does(extent: int, begin: int, end: int | None, step: int) -> None:
    attributes = {"axis": 1, "begin": begin, "end": end, "step": step}
    expected = list(np.arange(extent)[begin:end:step]) if step and begin < extent and (end or 0) <= extent else []
    assert list(places_of_slice(attributes, extent)) == expected
    if expected:
        assert shape_of("slice", (2, extent, 3), **attributes) == (2, len(expected), 3)
    else:
        with pytest.raises(GraphError, match="there is no part from"):
            shape_of("slice", (2, extent, 3), **attributes)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), data=st.data())
def test_reductions_and_pads_have_numpys_shape(shape: tuple[int, ...], data: st.DataObject) -> None:
    axes = tuple(data.draw(st.sets(st.integers(-len(shape), len(shape) - 1), min_size=1)))
    axes = tuple({axis % len(shape): axis for axis in axes}.values())
    keepdims = data.draw(st.booleans())
    array = np.zeros(shape)
    assert shape_of("reduce_max", shape, axes=axes, keepdims=keepdims) == array.max(axes, keepdims=keepdims).shape
    assert shape_of("argmin", shape, axis=axes[0], keepdims=keepdims) == (
        array.argmin(axes[0], keepdims=keepdims).shape
    )
    widths = tuple(data.draw(st.lists(pairs, min_size=len(shape), max_size=len(shape))))
    assert shape_of("pad", shape, widths=widths, mode="edge") == np.pad(array, widths, mode="edge").shape
    indices = data.draw(st.lists(st.integers(1, 3), max_size=2).map(tuple))
    taken = np.take(array, np.zeros(indices, np.int64), axes[0])
    assert shape_of("gather", shape, indices, axis=axes[0]) == taken.shape


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "expected"),
    [
        ("resize2d", [(2, 8, 7, 5)], {"size": (14, 4)}, (2, 8, 14, 4)),
        ("expand", [(3, 1)], {"shape": (2, 3, 4)}, (2, 3, 4)),
        ("prelu", [(2, 8, 7, 5), (8, 1, 1)], {}, (2, 8, 7, 5)),
        ("where", [(3, 1), (1, 4), (2, 1, 1)], {}, (2, 3, 4)),
        ("group_norm", [(2, 8, 7, 5), (8,), (8,)], {"groups": 4}, (2, 8, 7, 5)),
        ("max_pool2d", [(1, 8, 7, 9)],
         {"kernel": (3, 3), "strides": (1, 1), "padding": (0,) * 4, "dilation": (2, 3)}, (1, 8, 3, 3)),
        ("lrn", [(2, 8, 7, 5)], {"size": 3}, (2, 8, 7, 5)),
    ],
)  # fmt: skip
def test_other_shapes(
    op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], expected: tuple[int, ...]
) -> None:
    assert shape_of(op, *shapes, **attributes) == expected


WINDOW: dict[str, Any] = {"strides": (1, 1), "padding": (0,) * 4, "dilation": (1, 1), "groups": 1}


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "said"),
    [
        ("conv2d_transpose", [(1, 6, 4, 4), (4, 6, 1, 1)], {"groups": 2, "padding": (0,) * 4}, "of 6 channels in 2"),
        ("conv2d", [(1, 6, 4, 4), (4, 6, 1, 1)], {**WINDOW, "groups": 0}, "in 0 groups; expected at least 1"),
        ("conv2d", [(1, 6, 4, 4), (4, 6, 1, 1)], {**WINDOW, "strides": (0, 1)}, "strides .0, 1.*at least 1 each"),
        ("max_pool2d", [(1, 6, 4, 4)], {**WINDOW, "kernel": (2, -1)}, "expected at least 1 each"),
        ("resize2d", [(2, 8)], {"size": (14, 4)}, "is no image that is resized"),
        ("pad", [(2, 8)], {"widths": ((0, 1),), "mode": "edge"}, "two widths for each axis, none negative"),
        ("pad", [(2, 8)], {"widths": ((0, -1), (0, 0)), "mode": "edge"}, "two widths for each axis, none negative"),
        ("pad", [(2, 8)], {"widths": ((0, 2), (0, 0)), "mode": "reflect"}, "too small to be reflected"),
        ("expand", [(3, 2)], {"shape": (3, 4)}, "do not broadcast"),
        ("expand", [(3, 2)], {"shape": (1, 2)}, r"\(3, 2\) does not broadcast to \(1, 2\)"),
        ("rearrange", [(2, 6)], {"parts": (3, 4), "order": (1, 0), "shape": (4, 3)}, "an axis of 2 of .* whole parts"),
        ("rearrange", [(2, 6)], {"parts": (2, 6), "order": (1, 0), "shape": (4, 3)}, "an axis of 4 of .* whole parts"),
        ("prelu", [(8, 1), (8, 7)], {}, r"\(8, 7\) does not broadcast to \(8, 1\)"),
        ("group_norm", [(2, 8, 7, 5), (8,), (8,)], {"groups": 3}, "in 3 groups cannot be normalised"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    op: str, shapes: list[tuple[int, ...]], attributes: dict[str, Any], said: str
) -> None:
    with pytest.raises(GraphError, match=said):
        shape_of(op, *shapes, **attributes)


@pytest.mark.parametrize(
    ("op", "read", "attributes", "expected"),
    [
        ("add", ("int64", "int64"), {}, "int64"),
        ("less", ("float32", "float32"), {}, "bool"),
        ("where", ("bool", "float32", "float32"), {}, "float32"),
        ("cast", ("uint8",), {"to": "float32"}, "float32"),
        ("argmax", ("float32",), {}, "int64"),
        ("gather", ("float32", "int64"), {}, "float32"),
    ],
)
def test_types(op: str, read: tuple[str, ...], attributes: dict[str, Any], expected: str) -> None:
    assert operations.of(op).dtype(read, attributes) == expected
