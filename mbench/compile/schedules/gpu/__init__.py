"""Rules for NVIDIA GPUs, in the order that they are asked."""

from __future__ import annotations

from mbench.compile.schedules.gpu import (
    batch_matmul,
    byte_depthwise,
    convolution,
    dense,
    depthwise,
    matmul,
    pool,
    rows,
    simple,
    window_pool,
)
from mbench.compile.schedules.rule import Rule
from mbench.core import dtypes
from mbench.hardware import platforms

FLOATS = tuple(dtype for dtype in platforms.PLATFORMS["gpu"].dtypes if dtype in dtypes.FLOATS)
_ALL = (*FLOATS, *dtypes.EIGHT_BITS)

fallback = simple.fallback

RULES: dict[str, Rule] = {
    "gpu.dense": Rule(candidates=dense.candidates, build=dense.build, dtypes=_ALL),
    "gpu.matmul": Rule(candidates=matmul.candidates, build=matmul.build, dtypes=_ALL),
    "gpu.byte_depthwise": Rule(
        candidates=byte_depthwise.candidates, build=byte_depthwise.build, dtypes=dtypes.EIGHT_BITS
    ),
    "gpu.depthwise": Rule(candidates=depthwise.candidates, build=depthwise.build, dtypes=_ALL),
    "gpu.convolution": Rule(candidates=convolution.candidates, build=convolution.build, dtypes=_ALL),
    "gpu.pool": Rule(candidates=pool.candidates, build=pool.build, dtypes=_ALL),
    "gpu.window_pool": Rule(candidates=window_pool.candidates, build=window_pool.build, dtypes=_ALL),
    "gpu.batch_matmul": Rule(candidates=batch_matmul.candidates, build=batch_matmul.build, dtypes=FLOATS),
    "gpu.rows": Rule(candidates=rows.candidates, build=rows.build, dtypes=FLOATS),
    "gpu.elementwise": Rule(candidates=simple.candidates, build=simple.build, dtypes=FLOATS),
}
