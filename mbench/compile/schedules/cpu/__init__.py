"""Rules for CPUs with vector registers: x86 (SSE, AVX2, AVX-512) and Arm (NEON), in the order that they are asked."""

from __future__ import annotations

from mbench.compile.schedules.cpu import (
    batch_matmul,
    channel_norm,
    convolution,
    depthwise,
    elementwise,
    float_sums,
    generic,
    integer_convolution,
    integer_depthwise,
    integer_matmul,
    integer_matrices,
    integer_rows,
    inverted_residual,
    matmul,
    pool,
    rearrange,
    rows,
    strassen,
    transposed,
    window_pool,
    winograd,
)
from mbench.compile.schedules.rule import Rule
from mbench.core import dtypes

fallback = generic.fallback

_BYTES, _HALVES = dtypes.EIGHT_BITS, float_sums.TYPES
_FLOATS = (*_HALVES, dtypes.BFLOAT16)

RULES: dict[str, Rule] = {
    "cpu.integer_rows": Rule(candidates=integer_rows.candidates, build=integer_rows.build, dtypes=_BYTES),
    "cpu.integer_matrices": Rule(
        candidates=integer_matrices.candidates,
        build=integer_matrices.build,
        by_default=integer_matrices.pays,
        dtypes=_BYTES,
    ),
    "cpu.integer_matmul": Rule(candidates=integer_matmul.candidates, build=integer_matmul.build, dtypes=_BYTES),
    "cpu.integer_depthwise": Rule(
        candidates=integer_depthwise.candidates, build=integer_depthwise.build, dtypes=_BYTES
    ),
    "cpu.integer_convolution": Rule(
        candidates=integer_convolution.candidates, build=integer_convolution.build, dtypes=_BYTES
    ),
    "cpu.inverted_residual": Rule(candidates=inverted_residual.candidates, build=inverted_residual.build, stages=True),
    "cpu.strassen": Rule(candidates=strassen.candidates, build=strassen.build, by_default=strassen.pays),
    "cpu.matmul": Rule(candidates=matmul.candidates, build=matmul.build, dtypes=_FLOATS, stages=True),
    "cpu.batch_matmul": Rule(candidates=batch_matmul.candidates, build=batch_matmul.build, dtypes=(*_FLOATS, *_BYTES)),
    "cpu.depthwise": Rule(candidates=depthwise.candidates, build=depthwise.build, dtypes=_FLOATS),
    "cpu.winograd": Rule(
        candidates=winograd.candidates, build=winograd.build, by_default=winograd.pays, lighter=winograd.lighter
    ),
    "cpu.convolution": Rule(candidates=convolution.candidates, build=convolution.build, dtypes=_FLOATS),
    "cpu.transposed": Rule(candidates=transposed.candidates, build=transposed.build, dtypes=(*_HALVES, *_BYTES)),
    "cpu.pool": Rule(candidates=pool.candidates, build=pool.build, dtypes=(*_FLOATS, *_BYTES)),
    "cpu.window_pool": Rule(candidates=window_pool.candidates, build=window_pool.build, dtypes=(*_FLOATS, *_BYTES)),
    "cpu.channel_norm": Rule(candidates=channel_norm.candidates, build=channel_norm.build, dtypes=_HALVES),
    "cpu.rows": Rule(candidates=rows.candidates, build=rows.build, dtypes=_FLOATS),
    "cpu.rearrange": Rule(candidates=rearrange.candidates, build=rearrange.build),
    "cpu.elementwise": Rule(candidates=elementwise.candidates, build=elementwise.build),
}
