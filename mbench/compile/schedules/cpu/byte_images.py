"""Images of 8-bit values as words, four channels of a pixel side by side: as they lie in memory, or laid out anew.

What is laid out anew has its padding around it, so that no window reaches beyond it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel_kinds import Convolution
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import dots
from mbench.compile.schedules.cpu.dots import DotProduct

_LANES = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteImage:
    """An image whose windows a convolution reads word by word."""

    conv: Convolution
    dot: DotProduct
    source: Any
    """The array of bytes that is given."""
    array: Any
    """What words are read from: those laid out anew, as they are multiplied, or the bytes that are given."""
    height: int
    width: int
    """With the padding, where it is laid out anew."""
    outside: int
    zipped: bool = False
    """Whether channels that lie apart become words by interleaving bytes, as is best on Arm."""

    @property
    def words(self) -> int:
        """Words of a pixel, those of each group side by side."""
        return self.conv.groups * dots.words(self.conv.group_inputs)

    @property
    def is_given(self) -> bool:
        """Whether words are read from what is given."""
        return bool(self.array is self.source)

    def pixel(self, batch: Any, y: Any, x: Any) -> Any:
        """Return the first pixel that the window of an output reads."""
        down, across = self.conv.strides
        return (batch * self.height + y * down) * self.width + x * across

    @property
    def size(self) -> int:
        """Words of all that is laid out anew."""
        return self.conv.batch * self.height * self.width * self.words

    def word(self, number: Any) -> list[Any]:
        """Return what a word is multiplied as."""
        if self.is_given:
            return self.dot.split(dots.word(self.array, number * dots.WORD))
        return [self.array[number + plane * self.size] for plane in range(self.dot.planes)]

    def vector(self, number: Any, count: int) -> Any:
        """Load so many words as bytes: as they are given, or as they are multiplied where they are laid out anew."""
        if self.is_given:
            return emit.vector(self.array, number * dots.WORD, dots.WORD * count)
        return tirx.reinterpret(f"uint8x{dots.WORD * count}", emit.vector(self.array, number, count))

    def _store(self, word: Any, at: Any, lanes: int = 1) -> None:
        """Store so many words, in all planes."""
        for plane, part in enumerate(self.dot.split(word)):
            emit.store(self.array, part, at + plane * self.size, lanes)

    def write(self, parts: int) -> None:
        """Write the pass that lays it out anew, shared out in so many parts; nothing where it is read as it lies."""
        if self.is_given:
            return
        conv, lines = self.conv, self.conv.batch * self.height
        with emit.tasks(lines, min(parts, lines), 1, 1) as ((first, count), _), emit.loop(count) as number:
            line = emit.named(first + number)
            batch, y = (0, line) if conv.batch == 1 else emit.divided(line, self.height)
            start, given = emit.named(line * (self.width * self.words)), emit.named(y - conv.padding[0])
            if isinstance(given, int):
                self._known_line(batch, given, start)
                return
            with T.If(T.bind(tirx.And(given >= 0, given < conv.input_height))):
                with T.Then():
                    self._line(batch, given, start)
                with T.Else():
                    self._fill(start, self.width * self.words)

    def _known_line(self, batch: Any, y: int, start: Any) -> None:
        """Write the only line, which lies in the image or not."""
        if 0 <= y < self.conv.input_height:
            self._line(batch, y, start)
        else:
            self._fill(start, self.width * self.words)

    def _line(self, batch: Any, y: Any, start: Any) -> None:
        """Write a line of the image, and its padding on both sides."""
        conv, left = self.conv, min(self.conv.padding[1], self.width)
        inside = min(conv.input_width, self.width - left)
        right = self.width - left - inside
        self._fill(start, left * self.words)
        self._fill(emit.named(start + (left + inside) * self.words), right * self.words)
        if conv.channels_last and conv.group_inputs % dots.WORD == 0:
            line = emit.named((batch * conv.input_height + y) * (conv.input_width * conv.input_channels))
            self._copy(line, emit.named(start + left * self.words), inside * self.words)
            return
        for number in range(self.words):
            self._words_of_line(batch, y, start + (left * self.words + number), number, inside)

    def _copy(self, line: Any, start: Any, count: int) -> None:
        """Copy so many words that lie side by side."""
        whole, rest = divmod(count, _LANES)
        for lanes, turns, first in ((_LANES, whole, 0), (1, rest, whole * _LANES)):
            if turns:
                with emit.loop(turns) as turn:
                    at = emit.named(first + turn * lanes)
                    given = emit.vector(self.source, line + at * dots.WORD, dots.WORD * lanes)
                    kind = "int32" if lanes == 1 else f"int32x{lanes}"
                    self._store(T.bind(tirx.reinterpret(kind, given)), start + at, lanes)

    def _words_of_line(self, batch: Any, y: Any, start: Any, number: int, pixels: int) -> None:
        """Write word `number` of so many pixels."""
        conv = self.conv
        group, first = divmod(number, self.words // conv.groups)
        own = range(first * dots.WORD, min((first + 1) * dots.WORD, conv.group_inputs))
        channels = [group * conv.group_inputs + channel for channel in own]
        size = conv.input_height * conv.input_width
        if conv.channels_last:
            line = emit.named((batch * size + y * conv.input_width) * conv.input_channels)
            places, apart = [line + channel for channel in channels], conv.input_channels
        else:
            line = emit.named(batch * (conv.input_channels * size) + y * conv.input_width)
            places, apart = [line + channel * size for channel in channels], 1

        def word(x: Any) -> Any:
            return dots.joined([self.source[at + x * apart] for at in places])

        whole = pixels // _LANES if self.zipped and self.words == apart == 1 else 0
        if whole:
            with emit.loop(whole) as turn:
                self._zip(places, emit.named(turn * _LANES), start)
            for at in range(whole * _LANES, pixels):
                self._store(word(at), start + at)
            return
        _in_vectors(pixels, lambda x: self._store(word(x), start + x * self.words))

    def _zip(self, places: Sequence[Any], x: Any, start: Any) -> None:
        """Write the words of sixteen pixels, whose channels lie apart, by interleaving bytes."""
        kind = f"uint8x{_LANES}"
        read = [T.bind(tirx.reinterpret(kind, emit.vector(self.source, at + x, _LANES))) for at in places]
        read += [tirx.Broadcast(tirx.const(0, "uint8"), _LANES)] * (dots.WORD - len(places))
        for number, four in enumerate(dots.interleaved(read, _LANES)):
            words = T.bind(tirx.reinterpret(f"int32x{dots.WORD}", four))
            self._store(words, start + (x + number * dots.WORD), dots.WORD)

    def _fill(self, start: Any, count: int) -> None:
        """Write so many words of padding."""
        border = tirx.const(_signed((self.outside & 0xFF) * 0x01010101), "int32")
        if count:
            _in_vectors(count, lambda at: self._store(border, start + at))


def of(
    conv: Convolution, dot: DotProduct, source: Any, outside: int, *, slack: int = 0, anew: bool = False
) -> ByteImage:
    """Return a convolution's image: as it lies where it can be read so; else with an array that `write` fills.

    `slack`: words after it, which may be read as well; `anew`: it is laid out in any case.
    """
    plain = conv.channels_last and conv.group_inputs % dots.WORD == 0 and not any(conv.padding) and dot.planes == 1
    known: dict[str, Any] = {"conv": conv, "dot": dot, "source": source, "outside": outside}
    height, width = (
        (side - 1) * step + (taps - 1) * apart + 1
        for side, step, taps, apart in zip(
            (conv.height, conv.width), conv.strides, (conv.kernel_height, conv.kernel_width), conv.dilation, strict=True
        )
    )
    if plain and not anew:
        return ByteImage(array=source, height=conv.input_height, width=conv.input_width, **known)
    words = conv.batch * height * width * conv.groups * dots.words(conv.group_inputs)
    array = T.alloc_buffer((dot.planes * words + slack,), "int32")
    return ByteImage(array=array, height=height, width=width, zipped=slack > 0, **known)


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _in_vectors(count: int, write: Any) -> None:
    """Do something for each of so many places, in vectors as far as they go."""
    whole, rest = divmod(count, _LANES)
    if whole:
        with emit.loop(whole) as turn, emit.lanes_of(_LANES) as lane:
            write(turn * _LANES + lane)
    if rest:
        with emit.loop(rest) as turn:
            write(whole * _LANES + turn)
