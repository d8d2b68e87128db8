"""Where the taps of depthwise convolutions of bytes fall, also where several outputs are handled as one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.compile.kernel_kinds import Convolution
from mbench.compile.schedules.cpu import byte_taps
from mbench.compile.schedules.cpu.byte_taps import ByteTaps, PackedTaps

CONV = Convolution(
    batch=1, input_height=5, input_width=8, input_channels=16, height=5, width=8, channels=16, kernel_height=3,
    kernel_width=3, strides=(1, 1), padding=(1, 1, 1, 1), groups=16, channels_last=True, dtype="uint8",
)  # fmt: skip


def test_outputs_side_by_side_are_one_of_more_channels() -> None:
    wide = byte_taps.merged(CONV, 4)
    assert (wide.width, wide.channels, wide.strides) == (2, 64, (1, 4))
    assert (byte_taps.pixels_of(CONV), byte_taps.pixels_of(wide)) == (1, 4)
    assert wide.pixels * wide.channels == CONV.pixels * CONV.channels
    assert [ByteTaps.of(CONV, row).shift for row in range(3)] == [0, 1, 0]
    assert [ByteTaps.of(wide, row) for row in range(2)] == [ByteTaps(shift=0, quads=(first,)) for first in (0, 4)]
    assert (PackedTaps.of(CONV).shifts, PackedTaps.of(wide).shifts) == (2, 1)


@pytest.mark.parametrize("rows", [1, 2])
def test_tiles_know_which_pixels_are_there(rows: int) -> None:
    """Tap `kx` of an output at x reads the pixels x - 1 + kx and the three after it."""
    wide, seen = byte_taps.merged(CONV, 4), []
    for run in byte_taps.runs(wide, rows):
        for number in range(run.count):
            for row in range(run.size):
                x = 4 * (run.start + number * run.size + row)
                seen.append(x)
                for kx in range(3):
                    first = 4 * row + kx
                    assert [*run.inside[first : first + 4]] == [0 <= x - 1 + kx + each < 8 for each in range(4)]
    assert seen == [0, 4]


@given(
    pixels=st.sampled_from((2, 4, 8)), channels=st.sampled_from((8, 16, 24, 32)), more=st.integers(0, 2),
    first=st.integers(-9, 9), data=st.data(),
)  # fmt: skip
def test_loads_are_shifted_into_the_line(
    pixels: int, channels: int, more: int, first: int, data: st.DataObject
) -> None:
    """A load stays within a line, and gives all bytes of a panel that are there."""
    columns, size = pixels * (1 + more), pixels * channels
    width = data.draw(st.sampled_from([each for each in (16, 32, 64) if each <= size]))
    start = data.draw(st.integers(0, size - width))
    there = [0 <= first + each < columns for each in range(pixels)]
    shift, known = byte_taps.seen(there, channels, (start, width))
    at = first * channels + start
    line = {place: place for place in range(columns * channels)}
    assert known == [at + byte in line for byte in range(width)]
    if any(known):
        load = [line[at + shift + byte] for byte in range(width)]
        assert [load[byte - shift] for byte in range(width) if known[byte]] == [
            at + byte for byte in range(width) if known[byte]
        ]


def test_lines_are_those_that_the_window_of_any_output_reads() -> None:
    apart = dataclasses.replace(CONV, strides=(2, 1), dilation=(3, 1))
    assert byte_taps.lines_read(CONV, 2) == [0, 1, 2, 3]
    assert byte_taps.lines_read(apart, 2) == [0, 2, 3, 5, 6, 8]


def test_weights_become_words_of_four_taps() -> None:
    weights = np.arange(1, 10, dtype=np.int8).reshape(3, 3, 1, 1)
    both = PackedTaps.of(CONV).in_words(weights)[:, :, 0].tolist()
    assert both[:2] == [[1, 2, 3, 0], [0, 1, 2, 3]]
    assert PackedTaps.of(byte_taps.merged(CONV, 4)).in_words(weights)[:, :, 0].tolist()[:2] == [
        [1, 2, 3, 0],
        [4, 5, 6, 0],
    ]
