"""Dot products of bytes on Arm: four of a lane by one instruction, or sums of pairs in 16 bits, and pairs of these.

| instruction | takes | instructions for 16 multiply-adds |
|---|---|---|
| `usmmla`, `smmla` (i8mm) | eight to a lane, of two rows and two channels | 0.5 |
| `sudot` (i8mm) | uint8, four to a lane | 1 |
| `sdot` | int8, four to a lane | 1 |
| `smull`, `smlal2`, `sadalp` | int8, 16 of a row; weights from -127 to 127, of which two fit into 16 bits | 3 |
| `smull`, `sadalp`, `smull2`, `sadalp` | the same, any weights | 4 |
| `smull`, `smlal`, `saddw` | taps of a depthwise convolution, as they lie | 4 to 6 |
| `smull`, `smull2`, `saddlp` twice, `addp`, `add` | int8, four to a lane | 6 |

Of uint8, 128 is taken off, which flips the highest bit. LLVM chooses the `sdot` that names a lane where the values come
last: it needs no copy of a word in all lanes.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu.dots import WORD, DotProduct
from mbench.core import dtypes
from mbench.networks.quantization import LARGEST_WEIGHT

LANES = 4
_SIGN = 128
_MOST_SUMS = 20
"""With more, LLVM keeps some of them in memory."""
_WORDS = 4
"""Of a register."""
_UNSIGNED = ("usmmla", "usdot")
"""Take uint8 as it is."""
_STEP = 0.5
"""Cycles of a dot product: the slowest cores that are out of order begin two in a cycle."""


_FINISH = 5.0
"""Instructions that turn a register of sums into bytes."""
_NARROW = {0: 0.0, 1: 3.0, 2: 1.0, 3: 4.0}
"""More of them for a row, by the registers that are left where four become one."""
_TURN, _TILE = 0.75, 24.0
"""Of a word's share of a turn of the loop, and of a tile beside its sums."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _SignedDots(DotProduct):
    """Dot products whose values are int8, but where the processor takes uint8 as they are."""

    @property
    def multiplies(self) -> str:
        """The type of the values that are multiplied."""
        return "uint8" if self.name in _UNSIGNED else "int8"

    def everywhere(self, parts: Sequence[Any], lanes: int) -> Any:
        """Return a word as it is multiplied, in all lanes."""
        [word] = parts
        return T.bind(tirx.reinterpret(f"{self.multiplies}x{WORD * lanes}", tirx.Broadcast(word, lanes)))

    def operand(self, values: Any, lanes: int) -> Any:
        """Return values as they are multiplied."""
        kind = f"{self.multiplies}x{WORD * lanes}"
        if self.shift:
            flip = tirx.Broadcast(tirx.const(_SIGN, "uint8"), WORD * lanes)
            values = tirx.bitwise_xor(tirx.reinterpret(f"uint8x{WORD * lanes}", values), flip)
        return T.bind(tirx.reinterpret(kind, values))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaneDots(_SignedDots):
    """`sdot`, or `usdot`, which LLVM makes `sudot` where the values are a lane."""

    def operands(
        self, load: Callable[[int, int], Any], count: int, lanes: int, *, beyond: bool = False
    ) -> Sequence[Any]:
        """Return at most four words, read together, each in all lanes of a register."""
        found: list[Any] = []
        for first, read in [(0, _WORDS)] if beyond and count > 1 else _parts(count):
            whole = self._register(load(first, read), read)
            split = tirx.reinterpret(f"int32x{_WORDS}", whole)
            lane = [tirx.Broadcast(tirx.Shuffle([split], [number]), lanes) for number in range(read)]
            found += [tirx.reinterpret(f"{self.multiplies}x{WORD * lanes}", each) for each in lane]
        return found[:count]

    def _register(self, values: Any, words: int) -> Any:
        """Return one, two or four words, as they are multiplied, as a register that they fill.

        Flipped before they are broadcast: of what is flipped after that, LLVM 22 forms either of the other for ever.
        """
        if words == _WORDS:
            return self.operand(values, LANES)
        kind = f"int{8 * WORD * words}"
        whole = tirx.reinterpret(kind, values)
        if self.shift:
            flip = int.from_bytes([_SIGN] * (WORD * words), "little", signed=True)
            whole = tirx.bitwise_xor(whole, tirx.const(flip, kind))
        spread = tirx.Broadcast(whole, _WORDS // words)
        return T.bind(tirx.reinterpret(f"{self.multiplies}x{WORD * _WORDS}", spread))

    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        """Add all four by one instruction."""
        pair = (weights, operand) if self.name == "sdot" else (operand, weights)
        return tirx.call_llvm_pure_intrin(f"int32x{lanes}", f"llvm.aarch64.neon.{self.name}", total, *pair)

    def tiles(self) -> list[tuple[int, int]]:
        """Return the (rows, vectors) whose sums, weights and values fit the registers."""
        return [
            (rows, vectors)
            for vectors in range(1, _MOST_SUMS + 1)
            for rows in range(1, _MOST_SUMS // vectors + 1)
            if rows * vectors + rows + vectors + self.spare <= self.registers
        ]

    def tile_cycles(self, rows: int, vectors: int, steps: int) -> float:
        """Return half of the instructions of a tile of so many words."""
        reads = rows * (2 if self.shift else 1) / _WORDS + vectors / 2
        begun = rows * vectors + 3 * vectors
        finished = rows * (_FINISH * vectors + _NARROW[vectors % 4])
        return _STEP * (steps * (rows * vectors + reads + _TURN) + begun + finished + _TILE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatrixDots(_SignedDots):
    """`usmmla` or `smmla`: eight values of two rows meet eight weights of two channels, in four sums."""

    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        """Add all eight by one instruction."""
        return tirx.call_llvm_pure_intrin(f"int32x{lanes}", f"llvm.aarch64.neon.{self.name}", total, operand, weights)

    def laid(self, weights: np.ndarray, _lanes: int) -> np.ndarray:
        """Return the weights eight by eight of each channel."""
        words, channels, _ = weights.shape
        split = weights.astype(np.int8).reshape(words // 2, 2, channels, WORD)
        return np.ascontiguousarray(split.swapaxes(1, 2))

    def tiles(self) -> list[tuple[int, int]]:
        """Return the (pairs of rows, vectors of four channels) whose sums, weights and values fit the registers."""
        return [
            (pairs, vectors)
            for vectors in range(1, self.registers // 2)
            for pairs in range(1, self.registers // (2 * vectors))
            if 2 * pairs * vectors + pairs + self.spare <= self.registers
        ]

    def tile_cycles(self, rows: int, vectors: int, steps: int) -> float:
        """Return half of the instructions of a tile of so many pairs of rows, and of so many octets."""
        sums = 2 * rows * vectors
        begun = sums + 2 * vectors
        finished = 2 * rows * ((2 + _FINISH) * vectors + _NARROW[vectors % 4])
        return _STEP * (steps * (sums + rows + vectors + _TURN) + begun + finished + _TILE)


def _parts(count: int) -> list[tuple[int, int]]:
    """Return the (first, count) of the loads of so many words: four, two, or one at once."""
    found, first = [], 0
    while first < count:
        read = next(each for each in (4, 2, 1) if first + each <= count)
        found.append((first, read))
        first += read
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordPairs(_SignedDots):
    """`smull`, for values whose words are of different channels."""

    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        """Add the four of each lane: pairs of 16 bits to 32, and pairs of these."""
        pairs = [_long_pairs(_multiplied(operand, weights, part)) for part in range(2)]
        return total + tirx.call_llvm_pure_intrin(f"int32x{lanes}", "llvm.aarch64.neon.addp", *pairs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TapPairs(WordPairs):
    """`smull`, for the taps of a depthwise convolution: 8 or 16 channels of a pixel meet their weights as they lie."""

    symmetric: bool
    """Whether weights are from -127 to 127, so that two taps fit into 16 bits."""

    def add_taps(self, sums: emit.Accumulators, row: int, values: Sequence[Any], weights: Sequence[Any]) -> None:
        """Add the multiplied taps of a line to the two or four registers of sums of an output."""
        together = 2 if self.symmetric else 1
        for first in range(0, len(values), together):
            pairs = list(zip(values, weights, strict=True))[first : first + together]
            for half in range(sums.vectors // 2):
                found = T.bind(functools.reduce(operator.add, [_multiplied(*pair, half) for pair in pairs]))
                for part in range(2):
                    quarter = tirx.Shuffle([found], [*range(LANES * part, LANES * (part + 1))])
                    sums.add(row, 2 * half + part, quarter.astype(f"int32x{LANES}"))

    def laid(self, weights: np.ndarray, _lanes: int) -> np.ndarray:
        """Return the weights tap by tap, all channels of a panel side by side.

        Raises:
            ValueError: some are -128; the node that they are of said that none is.
        """
        _check(weights, symmetric=self.symmetric)
        return np.ascontiguousarray(weights.astype(np.int8).swapaxes(1, 2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowPairs(_SignedDots):
    """`smull`, for 16 values of a row and 16 weights of a channel, whose sums are spread over the lanes."""

    symmetric: bool
    """Whether weights are from -127 to 127."""

    def summed(self, total: Any, operand: Any, weights: Any, lanes: int) -> Any:
        """Add sixteen, four to each lane."""
        low, high = (_multiplied(operand, weights, part) for part in range(2))
        if self.symmetric:
            return _added(total, _long_pairs(low + high))
        return _added(total, _long_pairs(low)) + _long_pairs(high)

    def laid(self, weights: np.ndarray, _lanes: int) -> np.ndarray:
        """Return the weights 16 by 16 of each channel.

        Raises:
            ValueError: some are -128; the node that they are of said that none is.
        """
        _check(weights, symmetric=self.symmetric)
        lines, channels, _ = weights.shape
        split = weights.astype(np.int8).reshape(lines // _WORDS, _WORDS, channels, WORD)
        return np.ascontiguousarray(split.swapaxes(1, 2))


def _check(weights: np.ndarray, *, symmetric: bool) -> None:
    if symmetric and weights.min(initial=0) < -LARGEST_WEIGHT:
        raise ValueError(f"weights reach {weights.min()}, expected at least {-LARGEST_WEIGHT}")


def _multiplied(values: Any, weights: Any, part: int) -> Any:
    """Multiply eight of the bytes, the first or the next, to 16 bits."""
    places = [*range(8 * part, 8 * part + 8)]
    halves = [tirx.Shuffle([each], places) for each in (values, weights)]
    return tirx.call_llvm_pure_intrin("int16x8", "llvm.aarch64.neon.smull", *halves)


def _added(total: Any, more: Any) -> Any:
    return more if total is None else total + more


def _long_pairs(values: Any) -> Any:
    """Add neighbours of eight int16 as int32."""
    return tirx.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.saddlp", values)


def of(kernel: Kernel, machine: KernelMachine) -> DotProduct | None:
    """Return the dot product of words of a machine that is exact for a kernel; None where it has none."""
    known = _known(kernel, machine)
    if known is None:
        return None
    if "usdot" in machine.dots and kernel.dtype == "uint8":
        return LaneDots(name="usdot", spare=1, cycles=_STEP, group=_WORDS, **{**known, "shift": 0})
    if "sdot" in machine.dots:
        return LaneDots(name="sdot", spare=2 if known["shift"] else 1, cycles=_STEP, group=_WORDS, **known)
    return WordPairs(name="smull", spare=4, cycles=6.0, **known)


def of_matrices(kernel: Kernel, machine: KernelMachine) -> MatrixDots | None:
    """Return how pairs of rows are multiplied where a processor has i8mm; None for other kernels."""
    if "usmmla" not in machine.dots or kernel.dtype not in dtypes.EIGHT_BITS or kernel.epilogue_of_sum is None:
        return None
    known = _known(kernel, machine)
    if known is None:
        return None
    name = "usmmla" if kernel.dtype == "uint8" else "smmla"
    return MatrixDots(name=name, spare=2, cycles=_STEP, **{**known, "shift": 0})


def of_rows(kernel: Kernel, machine: KernelMachine) -> RowPairs | None:
    """Return how 16 values of a row are multiplied, where a processor has no dot products; None for other kernels."""
    known = _known_pairs(kernel, machine)
    return None if known is None else RowPairs(name="smull", spare=2, **known)


def of_taps(kernel: Kernel, machine: KernelMachine) -> TapPairs | None:
    """Return how the channels of a pixel are multiplied, where a processor has no dot products; None for others."""
    known = _known_pairs(kernel, machine)
    return None if known is None else TapPairs(name="smull", spare=4, cycles=2.0, **known)


def _known_pairs(kernel: Kernel, machine: KernelMachine) -> dict[str, Any] | None:
    if "sdot" in machine.dots or "smull" not in machine.dots:
        return None
    if kernel.dtype not in dtypes.EIGHT_BITS or kernel.epilogue_of_sum is None:
        return None
    known = _known(kernel, machine)
    return None if known is None else {**known, "symmetric": kernel.reach_of_weights <= LARGEST_WEIGHT}


def _known(kernel: Kernel, machine: KernelMachine) -> dict[str, Any] | None:
    """Return what all dot products of a machine have; None for weights with a zero point."""
    if kernel.zero_points[1]:
        return None
    shift = -_SIGN - int(np.iinfo(str(kernel.dtype)).min)
    return {"lanes": (LANES,), "registers": machine.registers, "latency": 0, "shift": shift}
