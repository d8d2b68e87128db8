"""What the operations of users' files mean, beside ONNX Runtime or torch's own modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from one_operation import onnx, value
from torch import nn
from torch.nn import functional

from mbench.networks import operations, torch_operations

CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def test_every_operation_has_a_meaning() -> None:
    assert torch_operations.OPERATIONS.keys() == operations.OPERATIONS.keys()


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0)])
@pytest.mark.parametrize(("strides", "added"), [((1, 1), (0, 0)), ((2, 3), (1, 2)), ((2, 2), (1, 0))])
@pytest.mark.parametrize(("dilation", "groups"), [((1, 1), 1), ((2, 1), 2), ((1, 1), 4)])
def test_a_transposed_convolution_is_onnxs(
    padding: tuple[int, ...], strides: tuple[int, int], added: tuple[int, int], dilation: tuple[int, int], groups: int
) -> None:
    x, weight, bias = image(2, 4, 5, 6), image(4, 6, 3, 2), image(6 * groups)
    found = value(
        "conv2d_transpose", x, weight, bias, strides=strides, padding=padding, output_padding=added,
        dilation=dilation, groups=groups,
    )  # fmt: skip
    expected = onnx("ConvTranspose", x, weight, bias, strides=strides, pads=padding, output_padding=added,
                    dilations=dilation, group=groups)  # fmt: skip
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_local_response_normalisation_is_onnxs(size: int) -> None:
    x = image(2, 7, 3, 4)
    known: dict[str, Any] = {"size": size, "alpha": 0.4, "beta": 0.6, "bias": 1.5}
    sums = [  # as ONNX defines them; ONNX Runtime takes odd sizes alone
        (x[:, max(0, c - (size - 1) // 2) : c + math.ceil((size - 1) / 2) + 1] ** 2).sum(1) for c in range(7)
    ]
    expected = x / (1.5 + 0.4 / size * np.stack(sums, 1)) ** 0.6
    if size % 2:
        np.testing.assert_allclose(onnx("LRN", x, **known), expected, **CLOSE)
    np.testing.assert_allclose(value("lrn", x, **known), expected, **CLOSE)


@pytest.mark.parametrize("widths", [((0, 0), (1, 2), (2, 0)), ((1, 0), (0, 0), (3, 1))])
@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pads_are_numpys(mode: str, widths: tuple[tuple[int, int], ...]) -> None:
    x = image(2, 3, 4)
    known: dict[str, Any] = {"mode": mode, **({"constant_values": 1.5} if mode == "constant" else {})}
    found = value("pad", x, widths=widths, mode=mode, value=1.5)
    np.testing.assert_array_equal(found, np.pad(x, widths, **known))


@pytest.mark.parametrize("shape", [(2, 6, 5, 4), (1, 6, 1, 1)])
def test_norms_are_torchs_modules(shape: tuple[int, ...]) -> None:
    x, weight, bias = image(*shape), image(6), image(6)
    group = nn.GroupNorm(3, 6, eps=1e-3)
    group.weight.data, group.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    expected = group(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(value("group_norm", x, weight, bias, groups=3, epsilon=1e-3), expected, **CLOSE)
    expected = onnx("InstanceNormalization", x, weight, bias, epsilon=1e-3)
    np.testing.assert_allclose(value("instance_norm", x, weight, bias, epsilon=1e-3), expected, **CLOSE)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
}


@pytest.mark.parametrize("keepdims", [True, False])
@pytest.mark.parametrize("axes", [(1,), (-1, 0), (0, 1, 2)])
def test_reductions_are_numpys(axes: tuple[int, ...], keepdims: bool) -> None:
    x = image(2, 3, 4)
    for how, reduce in REDUCTIONS.items():
        found = value(f"reduce_{how}", x, axes=axes, keepdims=keepdims)
        np.testing.assert_allclose(found, reduce(x, axes, keepdims=keepdims), **CLOSE, err_msg=how)
    whole = (10 * x).astype(np.int32)
    for how in ("sum", "max", "prod"):
        found = value(f"reduce_{how}", whole, axes=axes, keepdims=keepdims)
        np.testing.assert_array_equal(found, REDUCTIONS[how](whole, axes, keepdims=keepdims).astype(np.int32))


def test_places_are_those_of_the_first_of_equal_elements() -> None:
    x = np.array([[3, 7, 7, 1, 1], [2, 2, 2, 2, 2]], np.float32)
    assert value("argmax", x, axis=1, keepdims=False).tolist() == [1, 0]
    assert value("argmin", x, axis=-1, keepdims=True).tolist() == [[3], [0]]
    assert value("argmax", x, axis=0, keepdims=False).tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_what_is_gathered_may_be_counted_from_the_end(axis: int) -> None:
    x, indices = image(3, 4, 5), np.array([[0, -1, 2], [-3, 1, 1]])
    np.testing.assert_array_equal(value("gather", x, indices, axis=axis), np.take(x, indices, axis))


@pytest.mark.parametrize(("begin", "end", "step"), [(0, 7, 1), (1, 6, 2), (6, None, -1), (5, 0, -2), (2, None, 3)])
def test_slices_are_numpys(begin: int, end: int | None, step: int) -> None:
    x = image(3, 7)
    np.testing.assert_array_equal(value("slice", x, axis=1, begin=begin, end=end, step=step), x[:, begin:end:step])


def test_what_has_no_effect_on_most_axes() -> None:
    x = image(3, 1)
    np.testing.assert_array_equal(value("expand", x, shape=(2, 3, 4)), np.broadcast_to(x, (2, 3, 4)))
    condition = x > 0
    np.testing.assert_array_equal(value("where", condition, x, x.T), np.where(condition, x, x.T))
    for to in ("int64", "bool", "uint8", "float32"):
        np.testing.assert_array_equal(value("cast", np.abs(x), to=to), np.abs(x).astype(to))


def test_whole_numbers_are_divided_towards_0_and_clipped() -> None:
    x, y = np.array([-7, 7, 7, 3]), np.array([2, -2, 2, 2])
    assert value("divide", x, y).tolist() == [-3, -3, 3, 1]
    assert value("mod", x, y).tolist() == np.mod(x, y).tolist()
    assert value("clip", x, low=-5, high=np.inf).tolist() == [-5, 7, 7, 3]


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 2), (2, 2, 2, 2)])
@pytest.mark.parametrize("ceil_mode", [True, False])
def test_pools_are_onnxs(padding: tuple[int, ...], ceil_mode: bool) -> None:
    x = image(1, 2, 7, 8)
    known = {"kernel": (3, 3), "strides": (2, 2), "padding": padding, "ceil_mode": ceil_mode}
    found = value("max_pool2d", x, **known, dilation=(1, 2))
    shared = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": padding, "ceil_mode": int(ceil_mode)}
    expected = onnx("MaxPool", x, **shared, dilations=(1, 2))
    places = tuple(slice(0, side) for side in found.shape)  # ONNX keeps windows that lie in the padding alone
    np.testing.assert_array_equal(found, expected[places])
    found = value("avg_pool2d", x, **known, count_include_pad=False)
    expected = onnx("AveragePool", x, **shared)
    np.testing.assert_allclose(found, expected[tuple(slice(0, side) for side in found.shape)], **CLOSE)


@pytest.mark.parametrize(
    ("op", "module"),
    [("leaky_relu", nn.LeakyReLU(0.3)), ("elu", nn.ELU(0.3)), ("celu", nn.CELU(0.3)), ("selu", nn.SELU()),
     ("softplus", nn.Softplus()), ("softsign", nn.Softsign()), ("mish", nn.Mish())],
)  # fmt: skip
def test_activations_are_torchs_modules(op: str, module: nn.Module) -> None:
    x = 8 * image(2, 9)
    np.testing.assert_allclose(value(op, x, alpha=0.3), module(torch.from_numpy(x)).numpy(), **CLOSE)


def test_a_slope_for_each_channel_is_that_of_torchs_prelu() -> None:
    x, slope = image(2, 4, 3, 3), image(4)
    expected = functional.prelu(torch.from_numpy(x), torch.from_numpy(slope)).numpy()
    np.testing.assert_array_equal(value("prelu", x, slope.reshape(4, 1, 1)), expected)
