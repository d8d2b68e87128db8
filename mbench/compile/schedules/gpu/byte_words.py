"""Bytes in words of four, as dot products and tensor cores of GPUs take them: loads, arithmetic, packed weights.

What is read is seen as int32: four numbers of a row lie in each. CUDA C has no vectors of more than four bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import tirx
from tvm.backend.cuda.op import cuda_func_call
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel import Kernel
from mbench.compile.kernel_kinds import Matmul
from mbench.compile.schedules import emit
from mbench.compile.schedules.gpu import threads as gpu
from mbench.core import dtypes

WORD = 4
"""Bytes."""
TYPE = "int32"
"""Of a word."""
_BITS, _BYTE = 8, 0xFF
_DOT = "dot_u8_s8"
_DOT_SOURCE = f"""__forceinline__ __device__ int {_DOT}(int x, int w, int sum) {{
  int result;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(x), "r"(w), "r"(sum));
  return result;
}}
"""
"""PTX ISA, "dp4a": the operands may be of different signs, for which CUDA C has no function."""

Position = Callable[[Any], tuple[Any, Any]]
"""The number of a step → where it lies in an array, and whether it is to be read; None: always."""


def takes(dtype: str | None) -> bool:
    """Return whether operands of a type are read in words."""
    return dtype in dtypes.EIGHT_BITS


def count(numbers: int) -> int:
    """Return how many words hold so many numbers."""
    return -(-numbers // WORD)


def viewed(array: Any, numbers: int) -> Any:
    """Return a flat array of so many bytes as whole words."""
    return IRBuilder.name("words", T.decl_buffer((numbers // WORD,), TYPE, data=array.data))


def at_once(numbers: int) -> int:
    """Return how many words are read at once where runs are of so many numbers; 0: single bytes, put together."""
    return next((words for words in (4, 2, 1) if numbers % (words * WORD) == 0), 0)


def constant(number: int, lanes: int = WORD) -> Any:
    """Return a word of `lanes` times the same number of 8 bits; 1 lane: the number itself."""
    if lanes == 1:
        return tirx.const(number, TYPE)
    return tirx.const(int(np.array([number & _BYTE] * WORD, np.uint8).view("<i4")[0]), TYPE)


def loaded(source: Any, view: Any, position: Position, step: Any, words: int, outside: int) -> Any:
    """Return so many words from word `step` of a row on; 0: one, which is put together of single bytes.

    Args:
        source: an array of bytes.
        view: the same as words.
        position: of a number in the row.
        step: word of the row.
        words: see `at_once`.
        outside: what stands for numbers that are not to be read.
    """
    if words:
        index, there = position(step * WORD)
        value = emit.vector(view, tirx.floordiv(index, WORD), words)
        return gpu.guarded(there, value, words, constant(outside))
    numbers = []
    for byte in range(WORD):
        index, there = position(step * WORD + byte)
        numbers.append(gpu.guarded(there, source[index].astype(TYPE), 1, tirx.const(outside, TYPE)))
    return joined(numbers)


def joined(numbers: Sequence[Any]) -> Any:
    """Return four numbers of 8 bits as a word."""
    whole: Any = None
    for place, each in enumerate(numbers):
        number = tirx.bitwise_and(each.astype(TYPE), _BYTE)
        whole = number if whole is None else tirx.bitwise_or(whole, number << (_BITS * place))
    return whole


def dot(x: Any, weights: Any, total: Any, dtype: str) -> Any:
    """Return a sum plus the dot product of two words: of numbers of a type, and of int8."""
    if dtype == "int8":
        return tirx.call_pure_extern(TYPE, "__dp4a", x, weights, total)
    return cuda_func_call(_DOT, x, weights, total, source_code=_DOT_SOURCE, return_type=TYPE)


def number(word: Any, place: Any, dtype: str) -> Any:
    """Return one of the four numbers of a word as int32."""
    if dtype == "int8":
        return (word << ((WORD - 1) * _BITS - place * _BITS)) >> ((WORD - 1) * _BITS)
    return tirx.bitwise_and(word >> (place * _BITS), _BYTE)


def transposed(rows: list[Any]) -> list[Any]:
    """Return four words whose word j has number j of each of the given four.

    Each step takes four of eight bytes: CUDA Math API, `__byte_perm`.
    """
    low = [_chosen(one, other, 0x5140) for one, other in (rows[:2], rows[2:])]
    high = [_chosen(one, other, 0x7362) for one, other in (rows[:2], rows[2:])]
    return [_chosen(pair[0], pair[1], order) for pair in (low, high) for order in (0x5410, 0x7632)]


def _chosen(one: Any, other: Any, order: int) -> Any:
    return T.bind(tirx.call_pure_extern(TYPE, "__byte_perm", one, other, tirx.const(order, TYPE)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordWeights:
    """Weights (reduction, columns) of int8 in words, with what the zero points of both factors add to the sums.

    Weights less their zero point may take nine bits: they are then a sum of two or three `parts` that are int8, which
    lie one after another along the reduction, and the rows are read as often.
    """

    reduction: int
    columns: int
    zero_points: tuple[int, int]
    """Of what is read, where that is no part of the bias, and of the weights."""

    @classmethod
    def of(cls, kernel: Kernel, product: Matmul) -> WordWeights:
        """Return those of a kernel's anchor."""
        return cls(reduction=product.reduction, columns=product.columns, zero_points=kernel.zero_points)

    @property
    def parts(self) -> int:
        """How many parts weights are the sum of."""
        known, zero = np.iinfo("int8"), self.zero_points[1]
        return max(-(-(known.max - zero) // known.max), -((known.min - zero) // -known.min))

    @property
    def words(self) -> int:
        """Of a column in each part."""
        return count(self.reduction)

    @property
    def steps(self) -> int:
        """Words of a column in all parts."""
        return self.parts * self.words

    @property
    def starts(self) -> bool:
        """Whether sums begin with numbers that are packed behind the weights."""
        return self.zero_points[0] != 0

    @property
    def more(self) -> int:
        """How many numbers of int32 these are."""
        return self.columns if self.starts else 0

    def fills(self, depth: int) -> bool:
        """Return whether turns of so many words have no steps beyond a row's numbers."""
        return self.reduction % (WORD if self.parts > 1 else depth * WORD) == 0

    def own(self, step: Any) -> Any:
        """Return which word of a row a step multiplies: the same for all parts."""
        return step if self.parts == 1 else tirx.floormod(step, self.words)

    def in_words(self, weights: np.ndarray) -> np.ndarray:
        """Return weights as (steps, columns), int32."""
        rest = self._less_zero(weights)
        padded = np.zeros((self.parts, self.words * WORD, self.columns), np.int8)
        for part in padded:
            part[: self.reduction] = np.clip(rest, -128, 127)
            rest = rest - part[: self.reduction]
        assert not rest.any(), "all parts together are the weights"
        apart = padded.reshape(self.steps, WORD, self.columns).transpose(0, 2, 1)
        return np.ascontiguousarray(apart).view("<i4")[..., 0]

    def packed(self, in_order: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return words in the order in which they are read, and what sums begin with behind them, as a flat array."""
        first = -self.zero_points[0] * self._less_zero(weights).sum(0)
        start = [first.astype(np.int32)] if self.starts else []  # modulo 2^32, as sums are
        return np.concatenate([in_order.ravel(), *start]).astype("<i4").view(np.int8)

    def _less_zero(self, weights: np.ndarray) -> np.ndarray:
        return weights.reshape(self.reduction, self.columns).astype(np.int64) - self.zero_points[1]

    def product(self, rows: int, dtype: str) -> Matmul:
        """Return the product as one of words."""
        return Matmul(rows=rows, reduction=self.steps, columns=self.columns, dtype=dtype)
