"""Rules for NVIDIA GPUs, in the order that they are asked."""

from __future__ import annotations

from mbench.compile.schedules.gpu import convolution, dense, depthwise, matmul, pool, simple
from mbench.compile.schedules.rule import Rule
from mbench.networks.costs import DTYPES

fallback = simple.fallback

RULES: dict[str, Rule] = {
    "gpu.dense": Rule(candidates=dense.candidates, build=dense.build, dtypes=DTYPES),
    "gpu.matmul": Rule(candidates=matmul.candidates, build=matmul.build, dtypes=DTYPES),
    "gpu.depthwise": Rule(candidates=depthwise.candidates, build=depthwise.build, dtypes=DTYPES),
    "gpu.convolution": Rule(candidates=convolution.candidates, build=convolution.build, dtypes=DTYPES),
    "gpu.pool": Rule(candidates=pool.candidates, build=pool.build, dtypes=DTYPES),
    "gpu.elementwise": Rule(candidates=simple.candidates, build=simple.build, dtypes=DTYPES),
}
