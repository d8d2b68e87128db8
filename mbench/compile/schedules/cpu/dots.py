"""Dot products of bytes: four 8-bit values times four 8-bit weights, added to an int32, in each lane of a register.

A word is four bytes in a row, of one pixel or row; weights are packed so that a vector has four of each channel. What
instructions a processor has for it, a `DotProduct` alone knows; those of x86 are in `x86_dots`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import tiling

WORD = 4
"""Bytes of a word: what one lane multiplies."""
_SUM_BYTES = 4
_MOST_WRITTEN = 60
"""Dot products of registers that a loop has in a turn: more take long to compile and gain nothing."""
_HALF = 8
"""Bytes of half of a register of 128 bits."""
_SHIFTED = -0x7F7F7F80
"""A word of four bytes of 128."""
_MOST_ROWS = 14
_LOADS_A_CYCLE = 1.5
_FINISH_CYCLES = {4: 3.0, 3: 4.0, 2: 3.5, 1: 5.0}
"""To turn a register of sums into bytes, by how many lie side by side: two or four become one."""
_FINISH_INSTRUCTIONS = 6
"""For a register of sums."""
_TILE_CYCLES = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class DotProduct(abc.ABC):
    """How a processor adds the dot products of bytes to the lanes of a register of sums."""

    name: str
    """Of the instruction that multiplies."""
    lanes: tuple[int, ...]
    """How many lanes of int32 a register may have, most first."""
    registers: int
    spare: int = 1
    """Registers that hold neither sums nor weights: the word of a row, constants, what is not added yet."""
    cycles: float = 1.0
    """That a core takes to add the dot products of one register, with all instructions that it takes."""
    latency: float = 4.0
    """Cycles after which the same register of sums can be added to again."""
    window: int = 0
    """Instructions that a core looks ahead, so that a tile is begun while one is finished; 0: none, or not known."""
    weight_bytes: int = WORD
    """Of the four weights of a lane."""
    planes: int = 1
    """How many int32 a word is multiplied as: with more than one, words are laid out anew, in so many planes."""
    group: int = 1
    """Words of a row that are read at once, and multiplied one after the other; see `operands`."""
    shift: int = 0
    """What is added to values as they are read: 128 where int8 ones are multiplied as uint8, or the other way round."""

    @abc.abstractmethod
    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        """Return a vector of sums plus the dot products of what `operand` and `read` give."""

    def operand(self, values: Any, lanes: int) -> Any:
        """Return what is multiplied of a vector of 8-bit values, words side by side; used for several vectors."""
        if not self.shift:
            return T.bind(values)
        shift = tirx.Broadcast(tirx.const(self.shift, "uint8"), WORD * lanes)
        return T.bind(tirx.bitwise_xor(values, shift))

    def operands(
        self, load: Callable[[int, int], Any], count: int, lanes: int, *, beyond: bool = False
    ) -> Sequence[Any]:
        """Return what is multiplied of so many words of a row; `load(first, count)` reads some of them as bytes.

        `beyond`: as many words may be read behind them as are read at once.
        """
        words = (tirx.reinterpret("int32", load(number, 1)) for number in range(count))
        return [self.everywhere(self.split(word), lanes) for word in words]

    def split(self, word: Any) -> list[Any]:
        """Return the int32 that words, of one lane or of several, are multiplied as: one for each plane.

        Shifted before it is broadcast: of what is shifted after that, LLVM 22 forms either of the other for ever.
        """
        return [tirx.bitwise_xor(word, as_lanes(_SHIFTED, word))] if self.shift else [word]

    def everywhere(self, parts: Sequence[Any], lanes: int) -> Any:
        """Return what is multiplied of a word in all lanes, given as what `split` makes of it."""
        [word] = parts
        return T.bind(in_all(word, lanes))

    def read(self, array: Any, start: Any, lanes: int) -> Any:
        """Return the weights of a register of sums, which begin at a byte of an array."""
        return emit.vector(array, start, WORD * lanes)

    def laid(self, weights: np.ndarray, _lanes: int) -> np.ndarray:
        """Return int16 weights (words, channels, 4) as bytes, register by register, as `read` reads them."""
        return weights.astype(np.int8)

    def lanes_of(self, channels: int) -> int:
        """Return the lanes of the widest register that the channels fill; 0 where they fill none."""
        return next((lanes for lanes in self.lanes if lanes <= channels), 0)

    def tiles(self) -> list[tuple[int, int]]:
        """Return the (rows, vectors) whose sums, weights and one word fit the registers."""
        own = self.weight_bytes // WORD
        return [
            (rows, vectors)
            for vectors in _FINISH_CYCLES
            for rows in range(1, _MOST_ROWS + 1)
            if rows * vectors + own * vectors + self.spare <= self.registers
        ]

    def tile_cycles(self, rows: int, vectors: int, steps: int) -> float:
        """Return the cycles of a tile of so many words whose data are in the first cache."""
        loads = (rows * self.planes + vectors * self.weight_bytes / WORD) / _LOADS_A_CYCLE
        step = max(rows * vectors * self.cycles, loads, self.latency)
        finish = _FINISH_CYCLES[vectors] * rows * vectors
        if self.window:
            finish *= min(1.0, rows * vectors * (steps + _FINISH_INSTRUCTIONS) / self.window)
        return steps * step + finish + _TILE_CYCLES

    def add(self, sums: emit.Accumulators, row: int, column: int, operand: Any, weights: Any) -> None:
        """Add the dot products of an operand and weights to a register of sums."""
        sums.combine(row, column, operand, lambda total, read: self.summed(total, read, weights, sums.lanes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightPanels:
    """Weights as a kernel reads them: panels of channels; then what sums begin with, where zero points ask for it."""

    dot: DotProduct
    channels: int
    lanes: int
    vectors: int
    words: int
    """Of a panel, for each channel."""
    zero_points: tuple[int, int]
    """Of the values as they are multiplied, and of the weights."""
    groups: int = 1
    """Of channels; a panel has channels of one group."""
    order: tuple[int, ...] = ()
    """Which channel of a panel each of its lanes has; empty: they follow one another."""

    @classmethod
    def of(
        cls, kernel: Kernel, dot: DotProduct, *, channels: int, lanes: int, vectors: int, words: int, groups: int = 1
    ) -> WeightPanels:
        """Return those of a kernel whose panels have so many registers, and so many words for each channel.

        Raises:
            ValueError: there are fewer channels than a panel has.
        """
        zero, of_weights = kernel.zero_points
        if not lanes or vectors * lanes > channels // groups:
            raise ValueError(f"a panel of {vectors} x {lanes} channels is wider than {channels // groups}")
        return cls(
            dot=dot, channels=channels, lanes=lanes, vectors=vectors, words=words, groups=groups,
            zero_points=(zero + dot.shift, of_weights),
        )  # fmt: skip

    @property
    def width(self) -> int:
        """Channels of a panel."""
        return self.vectors * self.lanes

    @property
    def starts(self) -> list[int]:
        """The first channel of each panel."""
        own = self.channels // self.groups
        return [group * own + start for group in range(self.groups) for start in tiling.panel_starts(own, self.width)]

    @property
    def register_bytes(self) -> int:
        """Of the weights that one register of sums meets in a word."""
        return self.lanes * self.dot.weight_bytes

    @property
    def line_bytes(self) -> int:
        """Of the weights of one word."""
        return self.vectors * self.register_bytes

    @property
    def panel_bytes(self) -> int:
        """Of a panel."""
        return self.words * self.line_bytes

    @property
    def elements(self) -> int:
        """Bytes of all, with what sums begin with."""
        begun = _SUM_BYTES * self.width if self.zero_points[0] else 0
        return len(self.starts) * (self.panel_bytes + begun)

    def of_panel(self, numbers: np.ndarray, start: int) -> np.ndarray:
        """Return the numbers (…, channels) of the panel that begins at a channel, as its lanes have them."""
        found = numbers[..., start : start + self.width]
        return found[..., list(self.order)] if self.order else found

    def start(self, panel: Any) -> tuple[Any, Any]:
        """Return the group of a panel, and its first channel."""
        if self.groups == 1:
            return 0, emit.named(emit.panel_start(panel, self.width, self.channels))
        own = self.channels // self.groups
        group, place = emit.divided(panel, -(-own // self.width))
        return group, emit.named(group * own + emit.panel_start(place, self.width, own))

    def read(self, array: Any, line: Any) -> list[Any]:
        """Load the weights of a word, which begin at byte `line`, register by register."""
        return [self.dot.read(array, line + v * self.register_bytes, self.lanes) for v in range(self.vectors)]

    def begin(self, sums: emit.Accumulators, array: Any, panel: Any) -> None:
        """Add what the zero point of the values takes off the sums of a panel."""
        if not self.zero_points[0]:
            return
        size = _SUM_BYTES * self.lanes
        first = emit.named(panel * (_SUM_BYTES * self.width) + len(self.starts) * self.panel_bytes)
        for v in range(self.vectors):
            read = emit.vector(array, first + v * size, size)
            begun = T.bind(tirx.reinterpret(f"int32x{self.lanes}", read))
            for row in range(sums.rows):
                sums.add(row, v, begun)

    def packed(self, weights: np.ndarray, *, words: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
        """Return weights (…, reduction, channels) panel by panel, and what sums begin with, as one array of bytes.

        `words` makes of them what is multiplied, (words of a panel, 4, channels), where that is more than they are.
        """
        centred = weights.astype(np.int16) - self.zero_points[1]
        split = (words or in_words)(centred)
        found = [self.dot.laid(self.of_panel(split, start).swapaxes(1, 2), self.lanes).ravel() for start in self.starts]
        if self.zero_points[0]:
            total = centred.reshape(-1, self.channels).sum(0, dtype=np.int64) * -self.zero_points[0]
            found += [self.of_panel(total, start).astype(np.int32).view(np.int8) for start in self.starts]
        return np.concatenate(found)


def in_words(weights: np.ndarray) -> np.ndarray:
    """Return (…, reduction, channels) weights as (words, 4, channels); what words have beyond the reduction is 0."""
    *taps, reduction, channels = weights.shape
    whole = np.zeros((*taps, words(reduction) * WORD, channels), weights.dtype)
    whole[..., :reduction, :] = weights
    return whole.reshape(-1, WORD, channels)


def as_lanes(number: int, word: Any) -> Any:
    """Return a number of int32 in as many lanes as a word has."""
    kind = str(word.ty)
    return emit.broadcast(tirx.const(number, "int32"), int(kind.partition("x")[2] or 1))


def in_all(word: Any, lanes: int) -> Any:
    """Return a word, an int32, in all lanes, as a vector of bytes."""
    return tirx.reinterpret(f"uint8x{WORD * lanes}", emit.broadcast(word, lanes))


def word(array: Any, start: Any, count: int = WORD) -> Any:
    """Load a word of the bytes from `start` on; of fewer than four, the rest are 0."""
    if count == WORD:
        return tirx.reinterpret("int32", array[tirx.Ramp(start, 1, WORD)])
    return joined([array[start + place] for place in range(count)])


def joined(values: Sequence[Any]) -> Any:
    """Return at most four values of 8 bits as a word."""
    whole: Any = tirx.const(0, "uint32")
    for place, value in enumerate(values):
        byte = tirx.reinterpret("uint8", value)
        whole = whole + byte.astype("uint32") * tirx.const(1 << 8 * place, "uint32")
    return tirx.reinterpret("int32", whole)


def unrolled(steps: int, dots: int) -> int:
    """Return how many steps of a loop of so many are written out, each with so many dot products of registers."""
    return next(count for count in (4, 2, 1) if steps % count == 0 and (count == 1 or count * dots <= _MOST_WRITTEN))


def words(reduction: int) -> int:
    """Return how many words so many bytes take."""
    return -(-reduction // WORD)


def interleaved(pixels: Sequence[Any], width: int) -> list[Any]:
    """Return the bytes of four pixels as vectors of words with one byte of each: four, or two of pixels of 8 bytes."""
    if width == _HALF:
        both = [_zipped(pixels[at], pixels[at + 1], width, 1, [0]) for at in (0, 2)]
        return [_zipped(both[0], both[1], 2 * width, 2, [first]) for first in (0, _HALF)]
    ends = [range(first, width, 2 * _HALF) for first in (0, _HALF)]
    low, high = ([_zipped(pixels[at], pixels[at + 1], width, 1, starts) for at in (0, 2)] for starts in ends)
    return [_zipped(both[0], both[1], width, 2, starts) for both in (low, high) for starts in ends]


def interleaved_channels(width: int) -> list[int]:
    """Return the channel of each lane that `interleaved` gives where a pixel's bytes are in their own order."""
    order = interleaving_order(width)
    return [channel for channel, _ in sorted(enumerate(order), key=lambda pair: pair[1])]


def interleaving_order(width: int) -> list[int]:
    """Return the order of a pixel's bytes with which `interleaved` gives channels in their own order."""
    parts = max(1, width // 16)
    words = [parts * word + part for part in range(parts) for word in range(width // parts // WORD)]
    return [word * WORD + byte for word in words for byte in range(WORD)]


def _zipped(one: Any, other: Any, width: int, unit: int, starts: Iterable[int]) -> Any:
    """Return eight bytes of two vectors of so many, from each start on, so many of one and of the other in turn."""
    order = []
    for start in starts:
        for at in range(start, start + _HALF, unit):
            order += [*range(at, at + unit), *range(width + at, width + at + unit)]
    return tirx.Shuffle([one, other], order)
