"""Rows of 8-bit values as words: as they lie, or laid out anew where a word is multiplied as more than one int32."""

from __future__ import annotations

import dataclasses
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile.kernel_kinds import Matmul
from mbench.compile.schedules import emit
from mbench.compile.schedules.cpu import dots
from mbench.compile.schedules.cpu.dots import DotProduct

_LANES = 8
_SIGN = 128
_OFTEN = 4
"""Panels of weights from which on words are laid out anew for them."""


def copied(values: Any, matmul: Matmul, parts: int, *, flipped: bool, room: int = 0) -> Any:
    """Return a copy of a product's rows, shared out in so many parts, with so many bytes of room behind it.

    `flipped`: with the highest bit of each byte turned over: once, and not anew for each panel.
    """
    size = matmul.rows * matmul.reduction
    copy = T.alloc_buffer((size + room,), "uint8")

    def read(given: Any, lanes: int) -> Any:
        found = tirx.reinterpret("uint8" if lanes == 1 else f"uint8x{lanes}", given)
        return tirx.bitwise_xor(found, emit.broadcast(tirx.const(_SIGN, "uint8"), lanes)) if flipped else found

    emit.mapped(values, copy, size, parts, read)
    return copy


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteRows:
    """The rows that a matrix product reads word by word."""

    matmul: Matmul
    dot: DotProduct
    source: Any
    """The array of bytes that is given."""
    planes: Any = None
    """What words are multiplied as, plane after plane, which `write` fills; None: they are read as given."""

    @classmethod
    def of(cls, matmul: Matmul, dot: DotProduct, source: Any, times: int) -> ByteRows:
        """Return a product's rows, which it reads so many times: to lay them out for few takes longer than it saves."""
        if dot.planes == 1 or times < _OFTEN:
            return cls(matmul=matmul, dot=dot, source=source)
        count = dot.planes * matmul.rows * dots.words(matmul.reduction)
        return cls(matmul=matmul, dot=dot, source=source, planes=T.alloc_buffer((count,), "int32"))

    def read(self, row: Any, number: Any, count: int, lanes: int) -> Any:
        """Return what is multiplied of word `number` of a row, of so many bytes, in all lanes."""
        matmul, words = self.matmul, dots.words(self.matmul.reduction)
        if self.planes is not None:
            first, size = row * words + number, matmul.rows * words
            return self.dot.everywhere([self.planes[first + plane * size] for plane in range(self.dot.planes)], lanes)
        word = dots.word(self.source, row * matmul.reduction + number * dots.WORD, count)
        if self.dot.shift:
            return self.dot.everywhere(self.dot.split(word), lanes)
        return self.dot.operand(dots.in_all(word, lanes), lanes)

    def write(self, parts: int) -> None:
        """Write the pass that lays words out anew, shared out in so many parts; nothing where they are as given."""
        if self.planes is None:
            return
        matmul, words = self.matmul, dots.words(self.matmul.reduction)
        whole, rest = divmod(matmul.reduction // dots.WORD, _LANES)
        with emit.tasks(matmul.rows, parts, 1, 1) as ((first, count), _), emit.loop(count) as number:
            row = emit.named(first + number)
            start, at = emit.named(row * matmul.reduction), emit.named(row * words)
            for lanes, turns, begin in ((_LANES, whole, 0), (1, rest, whole * _LANES)):
                if turns:
                    with emit.loop(turns) as turn:
                        place = emit.named(begin + turn * lanes)
                        self._store(self._words(start + place * dots.WORD, lanes), at + place, lanes)
            if matmul.reduction % dots.WORD:
                last = words - 1
                word = dots.word(self.source, start + last * dots.WORD, matmul.reduction % dots.WORD)
                self._store(word, at + last, 1)

    def _words(self, start: Any, lanes: int) -> Any:
        read = emit.vector(self.source, start, dots.WORD * lanes)
        return T.bind(tirx.reinterpret("int32" if lanes == 1 else f"int32x{lanes}", read))

    def _store(self, word: Any, at: Any, lanes: int) -> None:
        size = self.matmul.rows * dots.words(self.matmul.reduction)
        for plane, part in enumerate(self.dot.split(word)):
            emit.store(self.planes, part, at + plane * size, lanes)
