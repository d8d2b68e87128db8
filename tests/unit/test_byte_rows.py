"""Rows of bytes as words: as they lie, or laid out in two planes of 16 bits before the product."""

from __future__ import annotations

import byte_layers as layers
import pytest
from byte_layers import AVX2, VNNI, ByteConv, dot_of, kernels_of

from mbench.compile.schedules.cpu import byte_rows
from mbench.compile.schedules.cpu.byte_rows import ByteRows


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("inputs", [1, 7, 32, 45])
def test_words_of_all_rows_are_laid_out(dtype: str, inputs: int) -> None:
    """More rows than a part has, and words that the reduction does not fill."""
    layer = ByteConv(batch=2, inputs=inputs, channels=160, dtype=dtype, zero_point=3)
    layer.check("cpu.integer_matmul", AVX2)
    layer.check("cpu.integer_matmul", layers.BW, 3)


def test_words_that_are_multiplied_as_they_are_stay_where_they_lie() -> None:
    matmul = kernels_of(ByteConv())[1].matmul
    assert matmul is not None
    assert ByteRows.of(matmul, dot_of(VNNI), "array", 9).planes is None
    assert ByteRows.of(matmul, dot_of(AVX2), "array", 1).planes is None
    assert byte_rows.__doc__
