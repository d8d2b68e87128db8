"""Where the taps of a depthwise convolution of bytes fall: which pixels a tile reads, and the words of its weights.

`pixels` outputs side by side that are handled as one lie, as their channels do, in one register: see `merged`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mbench.compile.kernel_kinds import Convolution
from mbench.compile.schedules.cpu import dots, tiling


def merged(conv: Convolution, pixels: int) -> Convolution:
    """Return a convolution whose outputs are so many of another side by side, with the channels of all of them.

    Each of its taps reads as many pixels, which lie side by side as well: its stride across is the number of them.
    """
    strides = (conv.strides[0], pixels * conv.strides[1])
    return dataclasses.replace(conv, width=conv.width // pixels, channels=pixels * conv.channels, strides=strides)


def pixels_of(conv: Convolution) -> int:
    """Return how many pixels an output of a depthwise convolution is."""
    return conv.channels // conv.input_channels


def lines_read(conv: Convolution, lines: int) -> list[int]:
    """Return which lines of input a tile of so many lines reads, from the first on."""
    down, apart = conv.strides[0], conv.dilation[0]
    return sorted({line * down + ky * apart for line in range(lines) for ky in range(conv.kernel_height)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteTaps:
    """An output of a tile: where the pixels begin that it reads four by four, and how far its taps are shifted."""

    shift: int
    quads: tuple[int, ...]

    @classmethod
    def of(cls, conv: Convolution, row: int) -> ByteTaps:
        """Return those of an output of a tile."""
        first = row * conv.strides[1]
        shift = first % 2 if shares(conv) else 0
        count, apart = dots.words(conv.kernel_width + shift), dots.WORD * conv.dilation[1]
        return cls(shift=shift, quads=tuple(first - shift + apart * number for number in range(count)))


def shares(conv: Convolution) -> bool:
    """Return whether two outputs side by side read the same four pixels."""
    return conv.strides[1] == conv.dilation[1] == 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TapRun:
    """`count` tiles of `size` outputs in a row, from output `start`; `inside`: which of the pixels read are there."""

    start: int
    size: int
    count: int
    inside: tuple[bool, ...]


def runs(conv: Convolution, rows: int) -> list[TapRun]:
    """Split a line of outputs into tiles of at most `rows`, those with the same padding together."""
    found, start = list[TapRun](), 0
    for size in tiling.even_parts(conv.width, rows):
        first = start * conv.strides[1] - conv.padding[1]
        read = (size - 1) * conv.strides[1] + (conv.kernel_width - 1) * conv.dilation[1] + pixels_of(conv)
        inside = tuple(0 <= first + pixel < conv.input_width for pixel in range(read))
        if found and (found[-1].size, found[-1].inside) == (size, inside):
            found[-1] = dataclasses.replace(found[-1], count=found[-1].count + 1)
        else:
            found.append(TapRun(start=start, size=size, count=1, inside=inside))
        start += size
    return found


def seen(there: Sequence[bool], channels: int, panel: tuple[int, int]) -> tuple[int, list[bool]]:
    """Return which bytes of a panel, of several pixels, lie in the image, and how far to shift their load into it.

    A panel is no longer than a line of the image.

    Args:
        there: of each pixel, whether it lies in the image; those that do follow one another.
        channels: of a pixel.
        panel: its first byte, and how many it has.
    """
    start, width = panel
    inside = [each for each, pixel in enumerate(there) if pixel]
    known = [there[(start + byte) // channels] for byte in range(width)]
    if not inside:
        return 0, known
    left, right = inside[0] * channels - start, start + width - (inside[-1] + 1) * channels
    return max(0, left) - max(0, right), known


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackedTaps:
    """The words that a depthwise convolution's taps become, by line of taps, shift, and four pixels."""

    lines: int
    shifts: int
    quads: int

    @classmethod
    def of(cls, conv: Convolution) -> PackedTaps:
        """Return those of a convolution."""
        shifts = 2 if shares(conv) else 1
        return cls(lines=conv.kernel_height, shifts=shifts, quads=dots.words(conv.kernel_width + shifts - 1))

    @property
    def words(self) -> int:
        """Of a channel."""
        return self.lines * self.shifts * self.quads

    def word(self, ky: int, shift: int, quad: int) -> int:
        """Return which word has four taps."""
        return (ky * self.shifts + shift) * self.quads + quad

    def in_words(self, weights: np.ndarray) -> np.ndarray:
        """Return weights (ky, kx, 1, c) as (ky, shift, quad; 4; c)."""
        height, width, _, channels = weights.shape
        whole = np.zeros((height, self.shifts, self.quads * dots.WORD, channels), weights.dtype)
        for shift in range(self.shifts):
            whole[:, shift, shift : shift + width] = weights[:, :, 0]
        return whole.reshape(-1, dots.WORD, channels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlainTaps:
    """The taps of a depthwise convolution one after the other, four of which count as a word."""

    count: int

    @classmethod
    def of(cls, conv: Convolution) -> PlainTaps:
        """Return those of a convolution."""
        return cls(count=conv.kernel_height * conv.kernel_width)

    @property
    def words(self) -> int:
        """Of a channel."""
        return dots.words(self.count)

    def in_words(self, weights: np.ndarray) -> np.ndarray:
        """Return weights (ky, kx, 1, c) as (words, 4, c)."""
        return dots.in_words(weights.reshape(self.count, weights.shape[-1]))
