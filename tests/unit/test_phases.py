"""Transposed convolutions as plain ones, beside PyTorch's."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import Transposed
from torch.nn import functional

from mbench.compile.phases import Phase, TransposedConvolution, phases

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def layers(draw: st.DrawFn) -> Transposed:
    layer = Transposed(
        height=draw(st.integers(1, 5)), width=draw(st.integers(1, 5)), inputs=2, channels=3,
        kernel=draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), strides=draw(pairs), dilation=draw(pairs),
        added=draw(st.tuples(st.integers(0, 2), st.integers(0, 2))), padding=(0, 0, 0, 0),
    )  # fmt: skip
    _, height, width, _ = layer.output_shape
    most = ((height - 1) // 2, (width - 1) // 2) * 2
    padding = tuple(draw(st.integers(0, min(each, 3))) for each in most)
    return dataclasses.replace(layer, padding=padding)  # type: ignore[arg-type]


def described(layer: Transposed) -> TransposedConvolution:
    _, height, width, _ = layer.output_shape
    return TransposedConvolution(
        batch=1, input_sides=(layer.height, layer.width), input_channels=layer.inputs,
        sides=(height, width), channels=layer.channels, kernel=layer.kernel, strides=layer.strides,
        padding=layer.padding, dilation=layer.dilation, groups=1, channels_last=True,
    )  # fmt: skip


def convolved(phase: Phase, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return what the convolution of a phase gives, (1, y, x, c); padding below 0 leaves elements out."""
    own = weights[list(phase.taps[0])][:, list(phase.taps[1])]
    window = phase.window
    assert own.shape[:2] == (window.kernel_height, window.kernel_width)
    if not own.size:
        return np.zeros((1, window.height, window.width, window.channels))
    top, left, bottom, right = window.padding
    image = functional.pad(torch.from_numpy(x).permute(0, 3, 1, 2), (left, right, top, bottom))
    given = torch.from_numpy(own).permute(3, 2, 0, 1)
    return np.asarray(functional.conv2d(image, given, dilation=window.dilation).permute(0, 2, 3, 1))


@given(layer=layers())
def test_the_phases_together_are_the_transposed_convolution(layer: Transposed) -> None:
    generator = np.random.default_rng(0)
    x, weights = (generator.standard_normal(shape) for shape in (layer.input_shape, layer.weights_shape))
    found = np.full(layer.output_shape, np.nan)
    for phase in phases(described(layer)):
        (y, column), (down, across) = phase.first, phase.steps
        part = found[:, y::down, column::across]
        assert np.isnan(part).all()
        assert part.shape[1:3] == (phase.window.height, phase.window.width)
        found[:, y::down, column::across] = convolved(phase, x, weights)
    np.testing.assert_allclose(found, layer.expected([x, weights]), rtol=1e-9, atol=1e-9)


def test_what_a_pixel_gives_in_a_line_is_taken_together_where_it_lies_side_by_side() -> None:
    layer = Transposed(kernel=(3, 2), strides=(2, 2), padding=(1, 0, 0, 0), channels=3)
    given = described(layer)
    assert given.columns_apart
    together = given.lines_together
    assert (together.sides, together.channels, together.kernel) == ((given.sides[0], layer.width), 6, (3, 1))
    for change in ({"kernel": (3, 3)}, {"padding": (1, 1, 0, 0)}, {"added": (0, 1)}):
        assert not described(dataclasses.replace(layer, **change)).columns_apart
