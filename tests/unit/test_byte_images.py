"""Images laid out anew as words, with their padding, as convolutions read them."""

from __future__ import annotations

import dataclasses
from typing import Any

import byte_layers as layers
import pytest
from byte_layers import VNNI, ByteConv

from mbench.compile.schedules.cpu import byte_images

PADDED: dict[str, Any] = {"kernel": (3, 3), "padding": (1, 2, 0, 1), "height": 6, "width": 19, "zero_point": 200}


@pytest.mark.parametrize("inputs", [1, 3, 4, 5, 8])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_padding_and_channels_in_any_layout(inputs: int, channels_last: bool, batch: int) -> None:
    layers.needs_dot_products()
    layer = ByteConv(**PADDED, inputs=inputs, channels_last=channels_last, batch=batch)
    layer.check("cpu.integer_convolution", VNNI)


@pytest.mark.parametrize("height", [1, 2])
def test_a_single_line(height: int) -> None:
    layers.needs_dot_products()
    layer = ByteConv(height=height, width=9, kernel=(1, 3), padding=(0, 1, 0, 1))
    layer.check("cpu.integer_convolution", VNNI)
    dataclasses.replace(layer, padding=(0, 0, 0, 0), kernel=(1, 2)).check("cpu.integer_convolution", VNNI)


def test_words_beyond_the_image_are_its_zero_point() -> None:
    assert byte_images._signed(0x80808080) == -0x7F7F7F80
    assert byte_images._signed(0x01010101) == 0x01010101
